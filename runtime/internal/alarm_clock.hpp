#pragma once

#include <utility>

#include <linux/time_types.h>

#include <ringdown/runtime/internal/ring_operation.hpp>
#include <ringdown/runtime/system_calls.hpp>

namespace ringdown {

/// The one timeout that the kernel keeps for a loop's timers.
///
/// It stays armed while the loop works and waits, so that neither setting a timer nor waiting costs
/// a timer of the kernel's: it is moved only for a timer that is due earlier, and rings for one
/// that is gone since, which costs a turn.
class alarm_clock final : public ring_operation {
public:
    using time_point = system_calls::time_point;

    explicit alarm_clock(loop& loop) noexcept : ring_operation("timeout"), on_(loop) {}

    void open() noexcept { closing_ = false; }
    /// Stops it; a timer that outlives the run sets it no more.
    void close() {
        closing_ = true;
        request_cancel(on_);
    }

    /// True while it is going to ring by then.
    [[nodiscard]] bool covers(time_point when) const noexcept {
        return in_flight() && rings_at_ <= when;
    }
    /// Makes it ring no later than this; the ring is to be entered next.
    void set(time_point when);
    /// True once for each time that it has rung.
    [[nodiscard]] bool has_rung() noexcept { return std::exchange(rung_, false); }

private:
    void completed(completion) noexcept override { rung_ = true; }

    loop& on_;
    time_point rings_at_{};
    __kernel_timespec kernel_time_{};
    bool rung_ = false;
    bool closing_ = true;
};

} // namespace ringdown
