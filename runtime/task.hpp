#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include <ringdown/runtime/cancellation.hpp>
#include <ringdown/runtime/internal/assert.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

namespace ringdown {

template <class T>
class task;

/// Told when a task that it spawned has run to its end, in place of an awaiting parent.
class child_owner {
public:
    /// `finished` is suspended for good; the owner destroys it.
    virtual void child_finished(std::coroutine_handle<> finished,
                                std::exception_ptr failure) noexcept = 0;

protected:
    ~child_owner() = default;
};

namespace detail {

class promise_base : public pooled, private strand {
public:
    using pooled::operator new;
    using pooled::operator delete;

    std::suspend_always initial_suspend() const noexcept { return {}; }

    struct final_awaiter {
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
            promise_base& promise = self.promise();
            if (promise.spawned_) {
                promise.owner_->child_finished(self, promise.failure_);
                return std::noop_coroutine();
            }
            // A child that never suspended was resumed inline by its parent, which goes on by
            // itself: so a chain of awaits that end at once does not grow the stack.
            if (!promise.parent_waits_) return std::noop_coroutine();
            return std::coroutine_handle<>::from_address(promise.parent_);
        }
        void await_resume() const noexcept {}
    };
    final_awaiter final_suspend() const noexcept { return {}; }
    void unhandled_exception() noexcept { failure_ = std::current_exception(); }

    /// The strand that the task runs on.
    [[nodiscard]] strand* governing() const noexcept { return strand_; }
    /// Goes on, on a strand of its own, under that cancellation.
    void come_under(cancellation& governing) noexcept {
        join(governing);
        strand_ = this;
    }

protected:
    void rethrow() const {
        if (failure_) std::rethrow_exception(failure_);
    }

private:
    template <class T>
    friend class ringdown::task;

    // Who is told of the end: a task that awaits this one, or who spawned it, on the strand of its
    // own that is the base.
    bool started_ = false; // these fill up the base
    bool spawned_ = false;
    bool parent_waits_ = false;
    union {
        void* parent_ = nullptr; // the address of its handle
        child_owner* owner_;
    };
    strand* strand_ = nullptr;
    std::exception_ptr failure_;
};

template <class T>
class promise final : public promise_base {
public:
    task<T> get_return_object() noexcept;
    template <std::convertible_to<T> U = T> // T, so that a list in braces makes one
    void return_value(U&& value) {
        value_.emplace(std::forward<U>(value));
    }
    T take() {
        rethrow();
        return std::move(*value_);
    }

private:
    std::optional<T> value_;
};

template <>
class promise<void> final : public promise_base {
public:
    task<void> get_return_object() noexcept;
    void return_void() const noexcept {}
    void take() const { rethrow(); }
};

} // namespace detail

/// A coroutine that starts when it is awaited, or spawned in a `scope`, and is joined there.
///
/// Resumes its parent without growing the stack, at every optimisation level. Its frame comes
/// from the thread's pool.
/// `co_return` takes what converts to `T`, and a list in braces that makes one: `co_return {}`.
/// Lifetime: only a task that has not started, or has ended, may be destroyed.
/// Errors: an exception that leaves the coroutine is thrown where it is awaited.
/// Cancellation: that of the awaiting task.
template <class T = void>
class [[nodiscard]] task {
public:
    using promise_type = detail::promise<T>;
    using value_type = T;

    task(task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            discard();
            frame_ = std::exchange(other.frame_, nullptr);
        }
        return *this;
    }
    ~task() { discard(); }

    class awaiter {
    public:
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        bool await_suspend(std::coroutine_handle<Promise> parent) {
            return child_.start_below(parent, parent.promise().governing());
        }
        T await_resume() { return child_.frame_.promise().take(); }

    private:
        friend class task;
        explicit awaiter(task& child) noexcept : child_(child) {}

        task& child_;
    };

    awaiter operator co_await() && noexcept { return awaiter(*this); }
    awaiter operator co_await() & noexcept { return awaiter(*this); }

    /// Starts the task for `owner`, which destroys the frame when told of its end.
    void start(child_owner& owner, cancellation& governing) && {
        auto frame = std::exchange(frame_, nullptr);
        auto& promise = begin(frame);
        promise.come_under(governing);
        promise.owner_ = &owner;
        promise.spawned_ = true;
        frame.resume();
    }

private:
    friend promise_type;
    using handle = std::coroutine_handle<promise_type>;

    explicit task(handle frame) noexcept : frame_(frame) {}

    static promise_type& begin(handle frame) noexcept {
        require(frame != nullptr, "a task was awaited after it was moved away");
        promise_type& promise = frame.promise();
        require(!promise.started_, "a task was awaited twice; await it once and keep its value");
        promise.started_ = true;
        return promise;
    }

    bool start_below(std::coroutine_handle<> parent, strand* strand) {
        auto& promise = begin(frame_);
        promise.strand_ = strand;
        promise.parent_ = parent.address();
        frame_.resume();
        if (frame_.done()) return false;
        promise.parent_waits_ = true;
        return true;
    }

    void discard() noexcept {
        if (!frame_) return;
        require(
            !frame_.promise().started_ || frame_.done(),
            "a task was destroyed while it ran; await it, or spawn it in a scope that joins it");
        frame_.destroy();
        frame_ = nullptr;
    }

    handle frame_;
};

namespace detail {

template <class T>
task<T> promise<T>::get_return_object() noexcept {
    return task<T>(std::coroutine_handle<promise>::from_promise(*this));
}

inline task<void> promise<void>::get_return_object() noexcept {
    return task<void>(std::coroutine_handle<promise>::from_promise(*this));
}

} // namespace detail
} // namespace ringdown
