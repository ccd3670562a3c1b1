#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace examples {

/// Writes whole lines to a descriptor, from any thread, and never waits for who reads them.
///
/// A regular file takes every line in place. Any other target (a pipe, a terminal) may stall, so
/// lines for it go to a thread of the writer's own, through a queue that has no limit: none is
/// lost while there is memory. The thread is started by the first line.
class line_writer {
public:
    /// Writes to `fd`, which stays the caller's and open until the process ends.
    explicit line_writer(int fd);
    /// Opens the file anew; a FIFO that nobody reads yet is opened by the thread, which waits.
    ///
    /// Errors: throws `std::system_error` that says why it cannot be opened.
    explicit line_writer(const std::string& file_name);
    line_writer(const line_writer&) = delete;
    line_writer& operator=(const line_writer&) = delete;
    ~line_writer();

    /// Writes a line, or queues it; `line` ends with a newline. The first failure is said on
    /// standard error; what could not be written before is not tried again.
    void write(std::string line);

    /// Waits for what is queued, but no longer than that; answers how many lines were not written.
    /// Nothing is to be written any more. What the thread still waits for is left to it.
    std::uint64_t finish(std::chrono::milliseconds patience);

private:
    struct shared;

    std::shared_ptr<shared> shared_; // with the thread, which can outlive the writer
    bool in_place_;
    bool running_ = false;
};

} // namespace examples
