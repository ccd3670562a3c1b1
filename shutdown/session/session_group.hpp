#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/internal/intrusive_list.hpp>
#include <ringdown/runtime/task.hpp>
#include <ringdown/shutdown/ending/ledger.hpp>
#include <ringdown/shutdown/session/session.hpp>

namespace ringdown {

/// How the sessions of a group ended, added up.
struct session_group_report {
    std::uint64_t sessions = 0; ///< That completed, also before the shutdown began.
    std::uint64_t requests = 0;
    std::uint64_t answered = 0;
    std::uint64_t canceled = 0;
    std::uint64_t dropped = 0;
    std::uint64_t truncated = 0; ///< Sessions whose peer ended so.
    std::uint64_t reset = 0;     ///< Sessions whose peer ended so.
    teardown_counters connections;
};

/// Ends many sessions, and knows when the last has ended.
///
/// Sessions leave by themselves when they complete, however they do. The group's completion comes
/// exactly once: after its shutdown has begun, when none is left, also when there were none.
/// Lifetime: sessions may outlive the group; it must outlive its waits. Threads: one loop's; end
/// the groups of several loops by `post`.
class session_group {
public:
    explicit session_group(loop& loop) noexcept : on_(loop) {}
    session_group(const session_group&) = delete;
    session_group& operator=(const session_group&) = delete;
    ~session_group();

    /// Takes a session in; a session is in one group at most.
    ///
    /// Once the group's shutdown has begun, newcomers are ended as well: a server's session when
    /// its first request has been answered, or when none has begun within
    /// `first_request_within`, since its peer waited in the accept queue and does not know; any
    /// other now. The group's policy and its deadline hold.
    /// False when the group has completed: the session is ended in the same way, but is not in the
    /// group, and not in its report.
    bool add(session& joining);

    /// Begins the shutdown of every session; the deadline, counted from now, holds for those that
    /// are ending already and for newcomers, too. The first call counts, and is told so by true.
    bool begin_shutdown(const session_policy& policy = {},
                        std::chrono::nanoseconds first_request_within = std::chrono::seconds(1));

    /// Waits for the completion.
    ///
    /// Errors: `operation_canceled`. Cancellation: safe; wait again.
    task<result<session_group_report>> completed();
    /// The same in spite of a cancellation; once the shutdown has begun, its deadline is the limit.
    task<session_group_report> join();

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] const session_group_report& report() const noexcept { return report_; }

private:
    friend class session_state;

    void session_completed(session_state& left) noexcept;
    void count(const session_state& completed) noexcept;
    void note_progress() noexcept;

    loop& on_;
    intrusive_list<session_state, session_group> sessions_;
    std::size_t size_ = 0;
    bool ending_ = false;
    session_policy policy_; // its deadline is set once the shutdown has begun
    std::chrono::nanoseconds first_request_within_{0};
    session_group_report report_;
    event completed_;
};

} // namespace ringdown
