#pragma once

#include <ringdown/runtime/capabilities.hpp>

namespace ringdown {

/// The flags of io_uring_setup(2) for a ring that has these capabilities.
unsigned setup_flags(const capability_set& capabilities) noexcept;

/// Throws the `std::system_error` that says why the kernel refused a ring and what to check.
[[noreturn]] void throw_ring_refused(int negated_errno);

} // namespace ringdown
