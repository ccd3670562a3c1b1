#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <ringdown/runtime/error.hpp>

namespace ringdown {

/// The service manager that started this program: systemd, or what speaks its protocol.
///
/// Takes what was handed over out of the environment, so that no child inherits it. Without a
/// manager, or in a build without systemd (meson option `systemd`), every call does nothing and
/// succeeds.
/// Threads: construct it before others start, since the environment is shared; `ready` and what
/// follows it may be called by any.
/// Source: sd_notify(3), sd_listen_fds(3).
class supervisor {
public:
    supervisor();
    supervisor(const supervisor&) = delete;
    supervisor& operator=(const supervisor&) = delete;
    ~supervisor();

    /// Whether this build can talk to a service manager.
    static bool built_in() noexcept;

    /// Whether there is a manager that wants to be told.
    [[nodiscard]] bool supervised() const noexcept { return notify_ >= 0; }

    /// READY=1: the program serves. Waits until the manager has taken it.
    ///
    /// Errors: those of send(2), for all that tell the manager something. Of the others, one whose
    /// message does not fit in the manager's queue gives up with `operation_would_block`: none
    /// may hold up a loop, and what matters is told again.
    result<void> ready();
    /// STOPPING=1: the program has begun to end.
    result<void> stopping();
    /// EXTEND_TIMEOUT_USEC: the manager shall wait for at least this long from now before it
    /// kills. Call it again before that is over, for as long as the ending takes.
    result<void> extend(std::chrono::microseconds time);
    /// STATUS: one line for people.
    result<void> status(std::string_view line);

    /// The listening descriptors that were handed over, with their names; once, later calls answer
    /// none. They are the caller's now, and not inherited by children; `listening_socket` takes
    /// them. The manager keeps its own: drain their servers with `drain_policy::hand_over`, so
    /// that newcomers wait for the next start.
    struct handed_over {
        int descriptor;
        std::string name;
    };
    std::vector<handed_over> take_sockets();

private:
    result<void> tell(const std::string& message, int flags);

    int notify_ = -1;
    std::vector<handed_over> sockets_;
};

} // namespace ringdown
