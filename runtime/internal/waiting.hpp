#pragma once

#include <coroutine>

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
    waiting(const waiting&) = delete;
    waiting& operator=(const waiting&) = delete;

    /// Asks for an early end, once. The task is woken now or by the final completion, and still
    /// gets whatever was achieved.
    virtual void cancel(cancel_reason reason) noexcept = 0;

protected:
    waiting() noexcept = default;
    ~waiting() = default;

    /// Suspends `task`; on a strand it can be cancelled. False when that was requested already: it
    /// must not wait.
    bool suspend(std::coroutine_handle<> task, strand* strand) noexcept;
    /// It need not wait after all.
    void stay() noexcept;
    void wake(loop& loop) noexcept;
    [[nodiscard]] bool suspended() const noexcept { return task_ != nullptr; }

private:
    std::coroutine_handle<> task_;
    strand* strand_ = nullptr;
};

} // namespace ringdown
