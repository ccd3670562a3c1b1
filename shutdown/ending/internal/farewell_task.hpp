#pragma once

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/runtime/cancellation.hpp>
#include <ringdown/runtime/task.hpp>

namespace ringdown {

/// Runs what a connection's protocol says last, as a task of the loop, on behalf of its ending.
class farewell_task {
public:
    /// True while it runs.
    [[nodiscard]] bool runs() const noexcept { return runs_; }
    /// It has `said` what it wanted, and the ending is told by `farewell_said`, from a turn of the
    /// loop.
    void begin(connection& connection, task<void> say);
    /// It is asked to stop, and nobody waits for it any more.
    void cancel() noexcept;

private:
    static task<void> run(connection_ref connection, farewell_task& self, task<void> say);

    cancellation* governing_ = nullptr; // of the task, once it has begun
    bool runs_ = false;
    bool canceled_ = false;
};

} // namespace ringdown
