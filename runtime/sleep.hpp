#pragma once

#include <coroutine>

#include <ringdown/runtime/cancellation.hpp>
#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/internal/timer.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown {

/// What `sleep_until` and `sleep_for` answer.
class [[nodiscard]] sleep_operation final : private timer, private waiting {
public:
    sleep_operation(loop& loop, loop::time_point until) noexcept
        : timer(loop.timers()), on_(loop), until_(until) {}

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
        canceled_ = !suspend(task, task.promise().governing());
        if (!canceled_) set(until_);
        return !canceled_;
    }
    result<void> await_resume() const {
        if (canceled_) return std::unexpected(canceled());
        return {};
    }

private:
    void expired() noexcept override { wake(on_); }
    void cancel(cancel_reason) noexcept override {
        canceled_ = true;
        unset();
        wake(on_);
    }

    loop& on_;
    loop::time_point until_;
    bool canceled_ = false;
};

/// Waits until `until`, by the loop's own timers.
///
/// Errors: `operation_canceled`. Cancellation: at once.
inline sleep_operation sleep_until(loop& loop, loop::time_point until) noexcept {
    return {loop, until};
}

/// Waits for `time`.
inline sleep_operation sleep_for(loop& loop, loop::time_point::duration time) noexcept {
    return {loop, later(loop.now(), time)};
}

} // namespace ringdown
