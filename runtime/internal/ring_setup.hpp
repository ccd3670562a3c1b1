#pragma once

#include <cstdint>

#include <ringdown/runtime/capabilities.hpp>

struct io_uring_params;

namespace ringdown {

/// The flags of io_uring_setup(2) for a ring that has these capabilities.
unsigned setup_flags(const capability_set& capabilities) noexcept;

/// How large a ring is, and how often its making had to wait for memory.
struct ring_size {
    unsigned entries;
    unsigned completion_entries;
    std::uint64_t waits = 0;
};

/// Makes a ring of at most that size, and answers its descriptor or the negated errno.
///
/// Where the limit on locked memory is reached (ENOMEM) it waits up to a quarter of a second,
/// because the kernel gives the memory of a closed ring back late, and then takes ever smaller
/// queues, down to `smallest_ring`. `size` becomes what was taken.
/// Source: io_uring_setup(2), RLIMIT_MEMLOCK in getrlimit(2).
int set_up_ring(system_calls& calls, unsigned flags, ring_size& size,
                io_uring_params& params) noexcept;

inline constexpr ring_size smallest_ring{8, 16};

/// The call by which a ring was refused.
enum class ring_call : std::uint8_t { setup, enter, registering };

/// Throws the `std::system_error` that says why the kernel refused a ring and what to check.
[[noreturn]] void throw_ring_refused(ring_call call, int negated_errno);

} // namespace ringdown
