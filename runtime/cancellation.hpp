#pragma once

#include <coroutine>

#include <ringdown/runtime/internal/intrusive_list.hpp>
#include <ringdown/runtime/internal/waiting.hpp>

namespace ringdown {

class cancellation;

/// One line of control: a spawned task, and the tasks that it awaits in turn. It waits for one
/// thing at a time, so being cancellable costs a wait one store.
class strand : public list_hook<strand> {
public:
    strand() noexcept = default;
    explicit strand(cancellation* governing) noexcept { join(governing); }

    /// Comes under a cancellation; null: that of no scope.
    void join(cancellation* governing) noexcept;

    [[nodiscard]] cancellation* governing() const noexcept { return governing_; }
    [[nodiscard]] bool canceled() const noexcept { return canceled_; }

private:
    friend class cancellation;
    friend class waiting;

    cancellation* governing_ = nullptr;
    waiting* current_ = nullptr; // what is to be cancelled, if anything
    bool canceled_ = false;
};

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
    /// Whether `node`, which may be null, is this one or below it. Looks at all that are below.
    [[nodiscard]] bool governs(const cancellation* node) noexcept;

private:
    friend class strand;

    bool requested_ = false;
    intrusive_list<strand, strand> strands_;
    intrusive_list<cancellation, cancellation> children_;
};

inline void strand::join(cancellation* governing) noexcept {
    governing_ = governing;
    if (!governing) return;
    governing->strands_.push_back(*this);
    canceled_ = governing->requested();
}

/// `co_await current_cancellation{}` answers the node that governs the awaiting task, or null.
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

} // namespace ringdown
