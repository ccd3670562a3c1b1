#pragma once

#include <coroutine>
#include <cstddef>
#include <utility>
#include <vector>

namespace ringdown {

/// Tasks to be resumed, in the order in which they were woken.
///
/// A push is one store: growing is kept apart, since every operation passes here.
class ready_list {
public:
    ready_list() : tasks_(256) {}

    void push(std::coroutine_handle<> task) {
        if (count_ == tasks_.size()) [[unlikely]]
            grow();
        tasks_[count_++] = task;
    }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }

    /// Resumes every task in turn. None may be pushed here meanwhile.
    void resume_all() {
        for (std::size_t i = 0; i < count_; ++i)
            tasks_[i].resume();
        count_ = 0;
    }

    void swap(ready_list& other) noexcept {
        tasks_.swap(other.tasks_);
        std::swap(count_, other.count_);
    }

private:
    void grow();

    std::vector<std::coroutine_handle<>> tasks_;
    std::size_t count_ = 0;
};

} // namespace ringdown
