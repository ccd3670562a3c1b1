#include "pattern.hpp"

#include <new>
#include <stdexcept>

#include <unistd.h>

namespace examples {
namespace {

// Half of the machine's: more would be promised, and the program killed as it takes it.
std::uint64_t size_max() {
    return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
           static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) / 2;
}

[[noreturn]] void refuse(const std::string& option, std::uint64_t size) {
    throw std::runtime_error(option + ": " + std::to_string(size) +
                             " bytes do not fit into memory; write less, at most " +
                             std::to_string(size_max() >> 20) + "MiB on this machine");
}

} // namespace

std::vector<std::byte> pattern(const std::string& option, std::uint64_t size) {
    if (size > size_max()) refuse(option, size);
    try {
        std::vector<std::byte> bytes(size);
        for (std::size_t i = 0; i < size; ++i)
            bytes[i] = static_cast<std::byte>(i % 251);
        return bytes;
    } catch (const std::bad_alloc&) { // a limit of the process's own
        refuse(option, size);
    }
}

} // namespace examples
