#pragma once

#include <coroutine>
#include <utility>

#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/internal/intrusive_list.hpp>
#include <ringdown/runtime/internal/waiting.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown {

/// Something that has happened or not yet; any number of tasks can wait for it.
///
/// Lifetime: outlives its waits. Threads: one loop's; reach another loop's by `post`.
class event {
    struct waiters; // the tag of the list below

public:
    class [[nodiscard]] wait_operation final : public waiting, public list_hook<waiters> {
    public:
        wait_operation(event& awaited, bool cancellable) noexcept
            : awaited_(awaited), cancellable_(cancellable) {}
        wait_operation(wait_operation&& other) noexcept
            : waiting(std::move(other)), list_hook<waiters>(), awaited_(other.awaited_),
              cancellable_(other.cancellable_) {}

        bool await_ready() const noexcept { return awaited_.happened_; }
        template <class Promise>
        bool await_suspend(std::coroutine_handle<Promise> task) noexcept {
            strand* const strand = task.promise().governing();
            if (cancellable_)
                canceled_ = !suspend(task, strand);
            else
                suspend_uncancellable(task, strand);
            if (!canceled_) awaited_.waiters_.push_back(*this);
            return !canceled_;
        }
        result<void> await_resume() const {
            if (canceled_) return std::unexpected(canceled());
            return {};
        }

    private:
        friend class event;

        void cancel(cancel_reason) noexcept override {
            canceled_ = true;
            happen();
        }
        void happen() noexcept {
            unlink();
            wake();
        }

        event& awaited_;
        bool cancellable_;
        bool canceled_ = false;
    };

    [[nodiscard]] bool happened() const noexcept { return happened_; }

    /// Wakes every waiting task, and lets later ones pass, until `reset`.
    void set() noexcept {
        happened_ = true;
        while (!waiters_.empty())
            waiters_.front().happen();
    }
    void reset() noexcept { happened_ = false; }

    /// Errors: `operation_canceled`. Cancellation: at once.
    wait_operation wait() noexcept { return {*this, true}; }
    /// Waits in spite of a cancellation, for what is sure to happen soon.
    wait_operation join() noexcept { return {*this, false}; }

private:
    bool happened_ = false;
    intrusive_list<wait_operation, waiters> waiters_;
};

} // namespace ringdown
