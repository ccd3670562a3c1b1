#pragma once

#include <cstddef>

namespace bench {

/// Nanoseconds for each no-op that goes through the ring, `depth` of them on their way at a time.
/// @{

/// By hand-written liburing, with the flags that Ringdown uses too.
double raw_noop(std::size_t depth, std::size_t count);
/// By `co_await noop(loop)` in as many tasks.
double awaited_noop(std::size_t depth, std::size_t count);

/// @}

} // namespace bench
