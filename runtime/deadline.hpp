#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include <ringdown/runtime/awaitable.hpp>
#include <ringdown/runtime/cancellation.hpp>
#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/internal/timer.hpp>
#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/task.hpp>

namespace ringdown {

namespace detail {

class canceling_timer final : public timer {
public:
    explicit canceling_timer(cancellation& governed) noexcept
        : timer(governed.own_loop().timers()), governed_(governed) {}
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

/// Awaits `timed`, a task or an operation (`awaitable`), and cancels it at `deadline`.
///
/// Answers what `timed` answers: what it achieved in spite of the deadline is kept. A `result` of
/// `operation_canceled` that the deadline has brought about becomes `errc::deadline_passed`.
/// Lifetime: `timed` moves into this task; what it names, such as a buffer, stays until the end.
/// Errors: those of `timed`. Cancellation: reaches it.
template <awaitable A>
task<awaited<A>> with_deadline(loop::time_point deadline, A timed) {
    cancellation* ambient = co_await current_cancellation{};
    cancellation governing(ambient);
    detail::canceling_timer timer(governing);
    timer.set(deadline);
    co_await governed_by{governing};
    if constexpr (std::is_void_v<awaited<A>>) {
        co_await std::move(timed);
    } else {
        awaited<A> answer = co_await std::move(timed);
        if constexpr (requires {
                          { answer.error() } -> std::convertible_to<std::error_code>;
                      }) {
            const bool outer = ambient->requested();
            if (timer.fired() && !outer && !answer && answer.error() == canceled())
                answer = std::unexpected(make_error_code(errc::deadline_passed));
        }
        co_return answer;
    }
}

} // namespace ringdown
