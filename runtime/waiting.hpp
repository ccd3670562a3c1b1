#pragma once

#include <coroutine>

#include <ringdown/runtime/intrusive_list.hpp>

namespace ringdown {

class cancellation;
class loop;

/// Why a wait is cancelled.
enum class cancel_reason : unsigned char {
    scope,    ///< Its scope was cancelled, or its loop ends.
    deadline, ///< A deadline over it has passed.
};

/// What a suspended task waits for.
///
/// Stands in the list of the cancellation that governs the task, and, once it was woken, in the
/// loop's ready list; the loop resumes the task from there and from nowhere else.
class waiting : public list_hook<waiting> {
public:
    /// Asks for an early end. The task is woken now or by the final completion, and still gets
    /// whatever was achieved.
    virtual void cancel(cancel_reason reason) noexcept = 0;

protected:
    explicit waiting(loop& on) noexcept : loop_(on) {}
    ~waiting() = default;

    /// Suspends `task`. False when its cancellation was requested already: it must not wait.
    bool suspend(std::coroutine_handle<> task, cancellation* governing) noexcept;
    void wake() noexcept;
    [[nodiscard]] bool suspended() const noexcept { return task_ != nullptr; }
    [[nodiscard]] loop& on() const noexcept { return loop_; }

private:
    friend class loop;

    loop& loop_;
    std::coroutine_handle<> task_;
};

} // namespace ringdown
