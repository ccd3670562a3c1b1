#pragma once

#include <coroutine>

#include <ringdown/runtime/internal/assert.hpp>

namespace ringdown {

class loop;
class strand;

/// Why a wait is cancelled.
enum class cancel_reason : unsigned char {
    scope,    ///< Its scope was cancelled, or its loop ends.
    deadline, ///< A deadline over it has passed.
};

/// What a suspended task waits for.
///
/// Once it was woken the task is ready; the loop resumes it from its turn and from nowhere else.
class waiting {
public:
    waiting& operator=(waiting&&) = delete;

    /// Asks for an early end, once. The task is woken now or by the final completion, and still
    /// gets whatever was achieved.
    virtual void cancel(cancel_reason reason) noexcept = 0;

protected:
    waiting() noexcept = default;
    /// Only before it is awaited: a combinator takes it into its own frame so.
    waiting(waiting&& other) noexcept {
        require(!other.task_, "an operation was moved after it was awaited");
    }
    ~waiting() = default;

    /// Suspends `task` and lets its strand cancel it. False when that was requested already: it
    /// must not wait.
    bool suspend(std::coroutine_handle<> task, strand* strand) noexcept;
    /// Suspends `task`, also where its strand is cancelled, and is not asked for an early end.
    void suspend_uncancellable(std::coroutine_handle<> task, strand* strand) noexcept;
    /// It need not wait after all.
    void stay() noexcept;
    void wake() noexcept;
    [[nodiscard]] bool suspended() const noexcept { return task_ != nullptr; }
    /// That of the task, once it was suspended.
    [[nodiscard]] loop& task_loop() const noexcept;

private:
    std::coroutine_handle<> task_;
    strand* strand_ = nullptr;
};

} // namespace ringdown
