#pragma once

#include <coroutine>

namespace ringdown {

/// What `co_await` sees of an operation, which is a `waiting` as well: its task is suspended and
/// the operation begins, or it answers `operation_canceled` because that was asked before.
///
/// The operation has `begin()`, which answers false where it need not wait after all, and
/// `answer_canceled()`; both may be private, with this as a friend.
template <class Operation>
class awaitable_operation {
public:
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
        auto& self = static_cast<Operation&>(*this);
        if (self.suspend(task, task.promise().governing())) return self.begin();
        self.answer_canceled();
        return false;
    }

private:
    awaitable_operation() noexcept = default;
    friend Operation;
};

} // namespace ringdown
