#pragma once

#include <coroutine>

#include <ringdown/runtime/internal/intrusive_list.hpp>
#include <ringdown/runtime/internal/waiting.hpp>

namespace ringdown {

class cancellation;
class loop;

/// One line of control: a spawned task, and the tasks that it awaits in turn. It waits for one
/// thing at a time, so being cancellable costs a wait one store.
class strand : public list_hook<strand> {
public:
    strand() noexcept = default;

    /// Comes under a cancellation, and so to its loop; leaves the one before.
    void join(cancellation& governing) noexcept;

    [[nodiscard]] cancellation* governing() const noexcept { return governing_; }
    [[nodiscard]] loop& own_loop() const noexcept;
    [[nodiscard]] bool canceled() const noexcept { return canceled_; }

private:
    friend class cancellation;
    friend class waiting;

    cancellation* governing_ = nullptr; // null until the first one is joined
    waiting* current_ = nullptr;        // what is to be cancelled, if anything
    bool canceled_ = false;
};

/// A node in the tree of cancellation: everything that the tasks below it wait for.
///
/// A request reaches every wait below the node, now and later; it cannot be taken back. Waits
/// end with `operation_canceled` unless they had achieved something, which is then returned.
/// All of them are of one loop, so by its node a task knows its loop.
/// Lifetime: outlived by its parent, outlives its children and waits.
class cancellation : public list_hook<cancellation> {
public:
    /// A root.
    explicit cancellation(loop& loop) noexcept : loop_(loop) {}
    explicit cancellation(cancellation* parent) noexcept;

    void request(cancel_reason reason = cancel_reason::scope) noexcept;
    [[nodiscard]] bool requested() const noexcept { return requested_; }
    [[nodiscard]] loop& own_loop() const noexcept { return loop_; }
    /// Whether `node`, which may be null, is this one or below it. Looks at all that are below.
    [[nodiscard]] bool governs(const cancellation* node) noexcept;

private:
    friend class strand;

    loop& loop_;
    bool requested_ = false;
    intrusive_list<strand, strand> strands_;
    intrusive_list<cancellation, cancellation> children_;
};

inline void strand::join(cancellation& governing) noexcept {
    unlink();
    governing_ = &governing;
    governing.strands_.push_back(*this);
    canceled_ = governing.requested();
}

inline loop& strand::own_loop() const noexcept { return governing_->own_loop(); }

/// `co_await current_cancellation{}` answers the node that governs the awaiting task.
struct current_cancellation {
    cancellation* found = nullptr;

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) noexcept {
        found = task.promise().governing()->governing();
        return false;
    }
    cancellation* await_resume() const noexcept { return found; }
};

/// `co_await current_loop{}` answers the loop that runs the awaiting task.
struct current_loop {
    loop* found = nullptr;

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) noexcept {
        found = &task.promise().governing()->own_loop();
        return false;
    }
    loop& await_resume() const noexcept { return *found; }
};

/// After `co_await governed_by{node}` the awaiting task, and what it awaits from then on, is
/// governed by that node instead; the node should be below the one before.
///
/// Lifetime: of the node, until the task awaits nothing any more.
struct governed_by {
    cancellation& node;

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) const noexcept {
        task.promise().come_under(node);
        return false;
    }
    void await_resume() const noexcept {}
};

} // namespace ringdown
