#include <ringdown/runtime/internal/alarm_clock.hpp>

#include <algorithm>
#include <chrono>

#include <ringdown/runtime/loop.hpp>

namespace ringdown {

void alarm_clock::set(time_point when) {
    if (closing_) return;
    rings_at_ = when;
    // Not the moment itself: in a time namespace the kernel's clock is another than ours.
    const auto now = on_.now();
    const auto left = std::max(when, now) - now;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    // Read by the kernel when the entry is submitted; an entry that waits for that still, and is
    // for a later time, may as well have this one.
    kernel_time_ = {.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    if (!in_flight()) {
        submit(on_,
               [this](io_uring_sqe& sqe) { io_uring_prep_timeout(&sqe, &kernel_time_, 0, 0); });
        return;
    }
    on_.submit_unawaited([this](io_uring_sqe& sqe) {
        io_uring_prep_timeout_update(&sqe, &kernel_time_, reinterpret_cast<std::uintptr_t>(this),
                                     0);
    });
}

} // namespace ringdown
