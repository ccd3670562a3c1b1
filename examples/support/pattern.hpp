#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace examples {

/// What once and fetch send: byte i is i mod 251.
///
/// Errors: throws, one clear line that names the option, where so many do not fit into memory.
std::vector<std::byte> pattern(const std::string& option, std::uint64_t size);

} // namespace examples
