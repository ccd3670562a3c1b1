#pragma once

namespace ringdown {

/// The calling thread runs a loop: from now on `exiting` can tell.
void note_thread() noexcept;

/// True once a thread that was noted is ending: within exit(3), where it was the one that called
/// it.
///
/// What has static storage is destroyed after that, beneath whatever the thread was doing.
[[nodiscard]] bool exiting() noexcept;

/// Keeps what is never used or destroyed again where leak detectors find it. Threads: any.
void leave_behind(const void* kept) noexcept;

} // namespace ringdown
