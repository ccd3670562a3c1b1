#pragma once

#include <coroutine>

#include <ringdown/runtime/waiting.hpp>

namespace ringdown {

/// A node in the tree of cancellation: everything that the tasks below it wait for.
///
/// A request reaches every wait below the node, now and later; it cannot be taken back. Waits
/// end with `operation_canceled` unless they had achieved something, which is then returned.
/// Lifetime: outlived by its parent, outlives its children and waits.
class cancellation : public list_hook<cancellation> {
public:
    explicit cancellation(cancellation* parent) noexcept;

    void request(cancel_reason reason = cancel_reason::scope) noexcept;
    [[nodiscard]] bool requested() const noexcept { return requested_; }

    void add(waiting& wait) noexcept { waits_.push_back(wait); }

private:
    bool requested_ = false;
    intrusive_list<waiting, waiting> waits_;
    intrusive_list<cancellation, cancellation> children_;
};

/// `co_await current_cancellation{}` answers the node that governs the awaiting task, or null.
struct current_cancellation {
    cancellation* found = nullptr;

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) noexcept {
        found = task.promise().governing();
        return false;
    }
    cancellation* await_resume() const noexcept { return found; }
};

} // namespace ringdown
