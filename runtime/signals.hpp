#pragma once

#include <csignal>
#include <initializer_list>

#include <spawn.h>

#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/system_calls.hpp>
#include <ringdown/runtime/task.hpp>

namespace ringdown {

/// Signals as something that a task awaits, instead of as interruptions.
///
/// Blocks the signals in the calling thread, so construct it before the program starts other
/// threads: they inherit the mask. Programs that are started inherit it as well, and would ignore
/// a SIGTERM; see `child_attributes` and `child_signal_mask`.
/// Lifetime: outlives each `next`, which may be awaited on any loop; is outlived by `calls`, which
/// stands for the kernel. The signals stay blocked after its destruction.
/// Errors: the constructor throws `std::invalid_argument` for a number that is no signal, and
/// `std::system_error`.
class signals {
public:
    explicit signals(std::initializer_list<int> which, system_calls& calls = kernel());
    signals(const signals&) = delete;
    signals& operator=(const signals&) = delete;
    ~signals();

    /// Waits for the next signal and answers its number.
    ///
    /// Errors: `operation_canceled`. Cancellation: safe, no signal is lost.
    /// Source: signalfd(2).
    task<result<int>> next();

private:
    system_calls& calls_;
    int fd_;
};

/// The signal mask with which a program should be started: the calling thread's, without what
/// `signals` have blocked in this process (a signal that was blocked before stays so).
///
/// For fork(2) and execve(2): taken before the fork, and set by sigprocmask(2) in the child.
/// Threads: any.
sigset_t child_signal_mask() noexcept;

/// Attributes for posix_spawn(3) with which a child begins with `child_signal_mask`, and with the
/// default action for SIGPIPE, which servers tend to ignore.
///
/// Flags and other attributes may be added through `get`; `flags` has what is set already.
/// Errors: throws `std::bad_alloc`. Source: posix_spawnattr_setsigmask(3).
class child_attributes {
public:
    child_attributes();
    child_attributes(const child_attributes&) = delete;
    child_attributes& operator=(const child_attributes&) = delete;
    ~child_attributes() { posix_spawnattr_destroy(&attributes_); }

    [[nodiscard]] posix_spawnattr_t* get() noexcept { return &attributes_; }
    static constexpr short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;

private:
    posix_spawnattr_t attributes_;
};

} // namespace ringdown
