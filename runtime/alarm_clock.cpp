#include <ringdown/runtime/alarm_clock.hpp>

#include <chrono>

#include <ringdown/runtime/loop.hpp>

namespace ringdown {

void alarm_clock::set(time_point when) {
    rings_at_ = when;
    const auto since = when.time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
    // Read by the kernel when the entry is submitted; an entry that waits for that still, and is
    // for a later time, may as well have this one.
    kernel_time_ = {.tv_sec = seconds.count(), .tv_nsec = (since - seconds).count()};
    if (!in_flight()) {
        submit(on_, [this](io_uring_sqe& sqe) {
            io_uring_prep_timeout(&sqe, &kernel_time_, 0, IORING_TIMEOUT_ABS);
        });
        return;
    }
    on_.submit_unawaited([this](io_uring_sqe& sqe) {
        io_uring_prep_timeout_update(&sqe, &kernel_time_, reinterpret_cast<std::uintptr_t>(this),
                                     IORING_TIMEOUT_ABS);
    });
}

} // namespace ringdown
