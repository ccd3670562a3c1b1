#pragma once

#include <initializer_list>

#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/task.hpp>

namespace ringdown {

class loop;
class system;

/// Signals as something that a task awaits, instead of as interruptions.
///
/// Blocks the signals in the calling thread, so construct it before the program starts other
/// threads: they inherit the mask.
/// Lifetime: `next` is awaited on its loop, which may be destroyed first. The signals stay blocked
/// after its destruction.
/// Errors: the constructor throws `std::invalid_argument` for a number that is no signal, and
/// `std::system_error`.
class signals {
public:
    signals(loop& on, std::initializer_list<int> which);
    signals(const signals&) = delete;
    signals& operator=(const signals&) = delete;
    ~signals();

    /// Waits for the next signal and answers its number.
    ///
    /// Errors: `operation_canceled`. Cancellation: safe, no signal is lost.
    /// Source: signalfd(2).
    task<result<int>> next();

private:
    loop& on_;
    system& calls_; // the loop may be gone before this is
    int fd_;
};

} // namespace ringdown
