#include <ringdown/runtime/internal/ring_setup.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>

#include <liburing.h>

#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/internal/uapi.hpp>
#include <ringdown/runtime/system_calls.hpp>

namespace ringdown {
namespace {

// Closed rings had given their memory back within 30 ms wherever that was measured.
constexpr std::chrono::milliseconds first_wait{1}, longest_wait{32}, patience{250};

const char* name_of(ring_call call) noexcept {
    switch (call) {
    case ring_call::setup:
        return "io_uring_setup";
    case ring_call::enter:
        return "io_uring_enter";
    case ring_call::registering:
        break;
    }
    return "io_uring_register";
}

const char* advice_for(int negated_errno) noexcept {
    switch (negated_errno) {
    case -ENOSYS:
        return "the kernel has no io_uring (Linux 6.1 or newer is needed), or a seccomp profile "
               "hides it";
    case -EPERM:
    case -EACCES:
        return "not permitted here; a seccomp profile must allow io_uring_setup, io_uring_enter "
               "and io_uring_register, and sysctl kernel.io_uring_disabled be 0";
    case -ENOMEM:
        return "no memory; see ulimit -l";
    case -EMFILE:
        return "no descriptor left; see ulimit -n";
    default:
        return "refused; Linux 6.1 or newer and a seccomp profile that allows io_uring are needed";
    }
}

std::uint64_t locked_bytes(const ring_size& size) noexcept {
    return size.completion_entries * sizeof(io_uring_cqe) + size.entries * sizeof(io_uring_sqe);
}

// False when it cannot get smaller.
bool halve(ring_size& size) noexcept {
    const auto half = [](unsigned entries, unsigned smallest) {
        return std::max(entries / 2, std::min(entries, smallest));
    };
    const ring_size before = size;
    size.completion_entries = half(size.completion_entries, smallest_ring.completion_entries);
    if (size.completion_entries < size.entries ||
        size.completion_entries == before.completion_entries)
        size.entries = half(size.entries, smallest_ring.entries);
    return size.entries < before.entries || size.completion_entries < before.completion_entries;
}

} // namespace

unsigned setup_flags(const capability_set& has) noexcept {
    // SUBMIT_ALL: one entry that fails must not hold back the entries behind it.
    unsigned flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                     IORING_SETUP_SUBMIT_ALL;
    if (has.has(capability::single_issuer)) flags |= IORING_SETUP_SINGLE_ISSUER;
    if (has.has(capability::single_issuer) && has.has(capability::defer_taskrun))
        flags |= IORING_SETUP_DEFER_TASKRUN;
    if (has.has(capability::coop_taskrun)) flags |= IORING_SETUP_COOP_TASKRUN;
    if (has.has(capability::no_sqarray)) flags |= uapi::setup_no_sqarray;
    return flags;
}

int set_up_ring(system_calls& calls, unsigned flags, ring_size& size,
                io_uring_params& params) noexcept {
    std::chrono::nanoseconds waited{}, wait = first_wait;
    for (;;) {
        params = {};
        params.flags = flags;
        if (flags & IORING_SETUP_CQSIZE) params.cq_entries = size.completion_entries;
        const int made = calls.ring_setup(size.entries, params);
        if (made >= 0) size = {params.sq_entries, params.cq_entries, size.waits};
        if (made != -ENOMEM) return made;
        // Waiting does not help a ring that is too large for the limit by itself.
        if (locked_bytes(size) > calls.locked_memory_max()) {
            if (!halve(size)) return made;
        } else if (waited < patience) {
            calls.pause(wait);
            waited += wait;
            wait = std::min<std::chrono::nanoseconds>(2 * wait, longest_wait);
            ++size.waits;
        } else if (!halve(size)) {
            return made;
        }
    }
}

void throw_ring_refused(ring_call call, int negated_errno) {
    throw std::system_error(system_error(negated_errno),
                            std::string(name_of(call)) + ": " + advice_for(negated_errno));
}

} // namespace ringdown
