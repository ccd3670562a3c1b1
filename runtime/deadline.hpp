#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include <ringdown/runtime/cancellation.hpp>
#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/internal/timer.hpp>
#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/task.hpp>

namespace ringdown {

namespace detail {

class canceling_timer final : public timer {
public:
    canceling_timer(loop& loop, cancellation& governed) noexcept
        : timer(loop.timers()), governed_(governed) {}
    [[nodiscard]] bool fired() const noexcept { return fired_; }

private:
    void expired() noexcept override {
        fired_ = true;
        governed_.request(cancel_reason::deadline);
    }

    cancellation& governed_;
    bool fired_ = false;
};

} // namespace detail

/// Awaits `timed`, and cancels it at `deadline`.
///
/// Answers what the task answers: a task that achieved something in spite of the deadline keeps
/// it. A task of `result<T>` that ends with `operation_canceled` because the deadline passed
/// answers `errc::deadline_passed` instead.
/// Errors: those of the task. Cancellation: reaches the task.
template <class T>
task<T> with_deadline(loop& loop, loop::time_point deadline, task<T> timed) {
    cancellation* ambient = co_await current_cancellation{};
    cancellation governing(ambient);
    detail::canceling_timer timer(loop, governing);
    timer.set(deadline);
    if constexpr (std::is_void_v<T>) {
        co_await timed.under(governing);
    } else {
        T answer = co_await timed.under(governing);
        if constexpr (requires {
                          { answer.error() } -> std::convertible_to<std::error_code>;
                      }) {
            const bool outer = ambient && ambient->requested();
            if (timer.fired() && !outer && !answer && answer.error() == canceled())
                answer = std::unexpected(make_error_code(errc::deadline_passed));
        }
        co_return answer;
    }
}

/// Makes a task of one operation, so that it can have a deadline:
/// `co_await with_deadline(on, when, as_task([&] { return peer.recv(buffer); }))`.
///
/// Lifetime: what `make` refers to stays until the task has ended.
template <class Make>
auto as_task(Make make) -> task<std::decay_t<decltype(make().await_resume())>> {
    auto operation = make();
    co_return co_await operation;
}

} // namespace ringdown
