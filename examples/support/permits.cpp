#include "permits.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>

#include <liburing.h>
#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <ringdown/runtime/ring.hpp>
#include <ringdown/runtime/system_calls.hpp>

namespace examples {
namespace {

using namespace ringdown;

constexpr int no_descriptor = std::numeric_limits<int>::max();

std::optional<int> number_in(const char* path, const std::string& after = {}) {
    std::ifstream file(path);
    std::string word;
    while (!after.empty() && file >> word && word != after) {
    }
    int number = 0;
    if (file >> number) return number;
    return {};
}

// Why a call was denied, and what would be right.
permit io_uring_call(const char* name, int answer, bool granted) {
    permit made{name, granted, true, "yes"};
    if (granted) return made;
    made.detail = std::string("no (") + std::strerror(-answer) + "): ";
    const auto disabled = number_in("/proc/sys/kernel/io_uring_disabled");
    const bool filtered = number_in("/proc/self/status", "Seccomp:").value_or(0) > 0;
    if (answer == -ENOMEM)
        made.detail += "a higher limit on locked memory is needed, see below";
    else if (disabled.value_or(0) != 0)
        made.detail += "sysctl kernel.io_uring_disabled is " + std::to_string(*disabled) +
                       ", and 0 would permit it";
    else if (filtered)
        made.detail += "the seccomp profile must allow " + std::string(name);
    else
        made.detail += "Linux 6.1 or newer is needed, with CONFIG_IO_URING";
    return made;
}

std::vector<permit> io_uring_calls() {
    auto& calls = kernel();
    io_uring_params params{};
    const int ring = calls.ring_setup(4, params);
    if (ring >= 0) calls.close(ring);
    const int entered = calls.ring_enter(no_descriptor, 0, 0, 0, nullptr, 0);
    const int registered =
        calls.ring_register(no_descriptor, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    return {io_uring_call("io_uring_setup", ring, ring >= 0),
            io_uring_call("io_uring_enter", entered, entered == -EBADF),
            io_uring_call("io_uring_register", registered, registered == -EBADF)};
}

bool may_exceed_the_memory_limit() {
    std::ifstream file("/proc/self/status");
    std::string word;
    while (file >> word && word != "CapEff:") {
    }
    std::uint64_t effective = 0;
    constexpr int ipc_lock = 14;
    file >> std::hex >> effective;
    return effective >> ipc_lock & 1;
}

permit locked_memory() {
    permit made{"locked memory", true, false, "no limit"};
    const std::uint64_t most = kernel().locked_memory_max();
    if (most == std::numeric_limits<std::uint64_t>::max()) return made;
    const std::string limit = std::to_string(most / 1024) + " KiB";
    if (may_exceed_the_memory_limit()) {
        made.detail = limit + ", which CAP_IPC_LOCK lifts";
        return made;
    }
    // What a ring takes, with what the kernel adds; and some for buffers that are sent uncopied.
    const ring_options usual;
    const std::uint64_t each = usual.completion_entries * sizeof(io_uring_cqe) +
                               usual.entries * sizeof(io_uring_sqe) + 8192;
    const std::uint64_t loops = most / each;
    made.granted = loops >= 4;
    made.detail = limit + " for all processes of the user: " + std::to_string(loops) +
                  " loops of the usual size";
    if (!made.granted)
        made.detail += ", then smaller ones, and sends that copy; 8192 KiB would do (ulimit -l, "
                       "LimitMEMLOCK=8M), or CAP_IPC_LOCK";
    return made;
}

permit drain_filter() {
    permit made{"SO_ATTACH_FILTER", true, false, "yes"};
    auto& calls = kernel();
    const int fd = calls.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sock_filter pass[] = {BPF_STMT(BPF_RET | BPF_K, ~0U)};
    const sock_fprog program{.len = 1, .filter = pass};
    const int answer =
        fd < 0 ? fd : calls.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    if (fd >= 0) calls.close(fd);
    if (answer == 0) return made;
    made.granted = false;
    made.detail = std::string("no (") + std::strerror(-answer) +
                  "): CAP_NET_ADMIN would permit it; a drain refuses newcomers in another way";
    return made;
}

permit descriptors() {
    constexpr rlim_t plenty = 65536;
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    permit made{"descriptors", limit.rlim_cur >= plenty, false, std::to_string(limit.rlim_cur)};
    if (limit.rlim_cur == RLIM_INFINITY) made.detail = "no limit";
    if (!made.granted)
        made.detail += ", one for each connection; LimitNOFILE=65536 (ulimit -n) is usual for "
                       "servers";
    return made;
}

} // namespace

std::vector<permit> permits() {
    std::vector<permit> all = io_uring_calls();
    all.push_back(locked_memory());
    all.push_back(drain_filter());
    all.push_back(descriptors());
    return all;
}

} // namespace examples
