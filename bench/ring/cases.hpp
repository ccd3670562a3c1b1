#pragma once

#include <cstddef>

#include "section.hpp"

// What is measured twice: by hand and by Ringdown. Each does `count` of its thing, `depth` of them
// on their way at a time, and marks the part that counts.

namespace bench {

using measured = void(section& counts, std::size_t depth, std::size_t count);

/// By hand, on liburing with the flags that Ringdown uses too.
/// @{
measured noop_by_hand;     ///< IORING_OP_NOP.
measured timer_by_hand;    ///< IORING_OP_TIMEOUT that is due at once.
measured deadline_by_hand; ///< A no-op with IORING_OP_LINK_TIMEOUT, which it does not reach.
measured channel_by_hand;  ///< Values handed from callback to callback by a queue of what is ready.
measured spawn_by_hand;    ///< A state on the heap, called by pointer, which frees itself.
/// @}

/// By Ringdown.
/// @{
measured noop_awaited;     ///< `co_await noop()`.
measured timer_awaited;    ///< `co_await sleep_for(0ns)`.
measured deadline_awaited; ///< `co_await with_deadline(when, noop())`.
measured channel_awaited;  ///< Values handed from task to task by events.
measured spawn_awaited;    ///< `scope::spawn` of a task that ends at once.
/// @}

/// Stages that a value goes round, in `channel`.
inline constexpr std::size_t channel_stages = 8;

/// Ends the program unless a case did what it is measured for.
void must(bool held, const char* what);

} // namespace bench
