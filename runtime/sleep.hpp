#pragma once

#include <concepts>
#include <coroutine>

#include <ringdown/runtime/cancellation.hpp>
#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/internal/timer.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown {

/// What `sleep_until` and `sleep_for` answer: it sleeps until a time, or for one.
template <class Time>
class [[nodiscard]] sleep_operation final : private timer, private waiting {
public:
    explicit sleep_operation(Time time) noexcept : time_(time) {}

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
        canceled_ = !suspend(task, task.promise().governing());
        if (!canceled_) set(task_loop().timers(), until());
        return !canceled_;
    }
    result<void> await_resume() const {
        if (canceled_) return std::unexpected(canceled());
        return {};
    }

private:
    [[nodiscard]] loop::time_point until() const noexcept {
        if constexpr (std::same_as<Time, loop::time_point>)
            return time_;
        else
            return later(task_loop().now(), time_);
    }
    void expired() noexcept override { wake(); }
    void cancel(cancel_reason) noexcept override {
        canceled_ = true;
        unset();
        wake();
    }

    Time time_;
    bool canceled_ = false;
};

/// Waits until `until`, by the loop's own timers.
///
/// Errors: `operation_canceled`. Cancellation: at once.
inline sleep_operation<loop::time_point> sleep_until(loop::time_point until) noexcept {
    return sleep_operation(until);
}

/// Waits for `time`, from when it is awaited.
inline sleep_operation<loop::time_point::duration>
sleep_for(loop::time_point::duration time) noexcept {
    return sleep_operation(time);
}

} // namespace ringdown
