#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <ringdown/runtime/cancellation.hpp>
#include <ringdown/runtime/internal/waiting.hpp>
#include <ringdown/runtime/task.hpp>

namespace ringdown {

/// Owns the tasks spawned in it, and does not end before they have.
///
/// Its form for users is `co_await with_scope(…)`, because a destructor cannot wait.
/// Errors: the first exception that leaves a child cancels the scope and is thrown by its join.
/// Cancellation: reaches every child; the join still waits for each.
class scope final : private child_owner, private waiting {
public:
    /// The scope of a whole run.
    explicit scope(loop& loop) noexcept : governing_(loop) {}
    explicit scope(cancellation* ambient) noexcept : governing_(ambient) {}
    ~scope() {
        require(children_ == 0, "a scope was destroyed before its tasks ended; co_await its join");
    }

    /// Starts `child` at once, up to its first suspension.
    ///
    /// Nobody awaits it, so what it answers is dropped, the error of a `result` as well. Where
    /// that matters, spawn a task that looks at the answer.
    template <class T>
    void spawn(task<T> child) {
        ++children_;
        std::move(child).start(*this, governing_);
    }
    /// Starts `child` for an owner of its own, which is told of its end and tells the scope in
    /// turn, by `leave`, when the scope need not wait for it any more, and of what went wrong.
    /// @{
    template <class T>
    void spawn(task<T> child, child_owner& owner) {
        ++children_;
        std::move(child).start(owner, governing_);
    }
    void leave(std::exception_ptr failure = {}) noexcept {
        if (failure && !failure_) {
            failure_ = std::move(failure);
            governing_.request();
        }
        if (--children_ == 0 && suspended()) wake();
    }
    /// @}

    /// Asks every operation inside the scope to stop. Cannot be taken back.
    void cancel() noexcept { governing_.request(); }

    [[nodiscard]] std::size_t children() const noexcept { return children_; }
    [[nodiscard]] bool failed() const noexcept { return failure_ != nullptr; }
    [[nodiscard]] std::exception_ptr failure() const noexcept { return failure_; }
    [[nodiscard]] cancellation& governing() noexcept { return governing_; }

    /// Waits until every child has ended; `with_scope` does.
    auto join() noexcept { return join_operation{*this}; }

    void rethrow() const {
        if (failure_) std::rethrow_exception(failure_);
    }

private:
    struct join_operation {
        scope& joined;

        bool await_ready() const noexcept { return joined.children_ == 0; }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> task) const noexcept {
            // Not cancellable by itself: the children are asked, and then waited for.
            joined.suspend_uncancellable(task, task.promise().governing());
        }
        void await_resume() const noexcept {}
    };

    void child_finished(std::coroutine_handle<> finished,
                        std::exception_ptr failure) noexcept override {
        finished.destroy();
        leave(std::move(failure));
    }

    void cancel(cancel_reason reason) noexcept override { governing_.request(reason); }

    cancellation governing_;
    std::exception_ptr failure_;
    std::size_t children_ = 0;
};

/// Runs `body(scope)`, a coroutine, and every task that it spawns; ends when all of them have.
///
/// Answers what `body` answers. When `body` throws, the scope is cancelled and joined first.
/// Lifetime: `body` is kept until then, so it may capture. What it declares inside ends when it
/// returns, as in any function: a task that it spawned may be running still, and uses none of that.
template <class Body>
auto with_scope(Body body) -> std::invoke_result_t<Body&, scope&> {
    using answer = typename std::invoke_result_t<Body&, scope&>::value_type;
    cancellation* ambient = co_await current_cancellation{};
    scope children(ambient);
    co_await governed_by{children.governing()};
    std::exception_ptr failure;
    if constexpr (std::is_void_v<answer>) {
        try {
            auto running = body(children);
            co_await running;
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) children.cancel();
        co_await children.join();
        if (failure) std::rethrow_exception(failure);
        children.rethrow();
    } else {
        std::optional<answer> value;
        try {
            auto running = body(children);
            value.emplace(co_await running);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) children.cancel();
        co_await children.join();
        if (failure) std::rethrow_exception(failure);
        children.rethrow();
        co_return std::move(*value);
    }
}

} // namespace ringdown
