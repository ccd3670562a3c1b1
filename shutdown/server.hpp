#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <ringdown/net/listener.hpp>
#include <ringdown/net/stream.hpp>
#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/task.hpp>
#include <ringdown/shutdown/ledger.hpp>
#include <ringdown/shutdown/policy.hpp>
#include <ringdown/shutdown/report.hpp>

namespace ringdown {

/// How far a server has come on its way to its end.
enum class server_phase : std::uint8_t {
    serving,       ///< Accepts and serves.
    not_accepting, ///< Newcomers are refused; who waited in the queue is served.
    waiting,       ///< The queue is empty; connections are left to finish.
    aborting,      ///< The deadline has passed, or the drain was escalated.
    drained,       ///< Every connection has been reported.
};

std::string_view name(server_phase phase) noexcept;

/// The limits of a drain. There is always a deadline.
struct drain_policy {
    std::chrono::nanoseconds within = std::chrono::seconds(10); ///< From the call.
    std::optional<loop::time_point> deadline; ///< Absolute; the earlier of both holds.
};

/// What a drain came to.
struct drain_report {
    struct straggler {
        std::uint64_t connection;
        address peer;
    };
    std::uint64_t accepts = 0; ///< Over the server's whole life; `reports` equals it.
    std::uint64_t reports = 0;
    teardown_counters connections;     ///< Of the reports made since the drain began.
    std::vector<straggler> stragglers; ///< Aborted by the drain.
    bool escalated = false;
    std::chrono::nanoseconds took{0};
};

struct server_options {
    /// Called with the report of each connection that was accepted; must not wait.
    std::function<void(const teardown_report&)> on_report;
    /// A connection on which no byte is received, accepted by the kernel or acknowledged for this
    /// long is ended as `when_idle` asks, beside its handler. Zero: never.
    std::chrono::nanoseconds idle{0};
    ending_request when_idle;
    /// Accepting has paused, because descriptors or memory have run out; it resumes by itself.
    /// Called once for each shortage, not for each attempt.
    std::function<void(std::error_code)> on_accept_paused;
    /// A handler has thrown; its connection was dropped, and nothing else is harmed.
    std::function<void(std::exception_ptr)> on_handler_failed;
};

/// Accepts connections, runs a handler for each, and ends them all to a deadline.
///
/// Reports always equal accepts: each connection that was accepted is reported once, however it
/// ended, and `run` does not end before the last one was.
/// Lifetime: outlives its `run` and `drain`. Threads: one loop's; servers on several loops share
/// one `listening_socket`.
class server {
public:
    using handler = std::function<task<void>(stream)>;

    server(loop& on, std::shared_ptr<listening_socket> from, handler serve,
           server_options options = {});
    server(const server&) = delete;
    server& operator=(const server&) = delete;
    ~server();

    /// Serves until the server was drained and every connection has been reported.
    ///
    /// Errors: what made accepting impossible for good; `operation_canceled`.
    /// Cancellation: the handlers are cancelled, connections still open are aborted.
    task<result<void>> run();

    /// Ends the server: refuses newcomers, serves who waits in the queue, lets connections finish,
    /// and aborts what is left at the deadline.
    ///
    /// A second call escalates: it aborts at once, and both calls are answered.
    /// Cancellation: escalates.
    task<drain_report> drain(drain_policy policy = {});

    /// Aborts every connection now, if a drain is under way.
    void escalate() noexcept;

    [[nodiscard]] server_phase phase() const noexcept { return phase_; }
    /// Set when a drain begins, for handlers that can finish early.
    [[nodiscard]] event& draining() noexcept { return draining_; }
    [[nodiscard]] const address& local() const noexcept { return listener_.local(); }
    [[nodiscard]] std::uint64_t accepts() const noexcept { return listener_.accepted(); }
    /// Connections accepted and not yet reported.
    [[nodiscard]] std::size_t open() const noexcept { return open_; }
    [[nodiscard]] const teardown_counters& counters() const noexcept { return counters_; }

private:
    class tracked;

    task<result<void>> accept_all(scope& inside);
    task<void> serve(stream accepted);
    task<result<void>> pause(std::error_code why);
    task<void> stop_accepting(loop::time_point deadline);
    task<void> wait_for_end(loop::time_point deadline);
    void abort_all(teardown_cause for_graceful);
    void note_progress() noexcept;

    loop& on_;
    listener listener_;
    handler handler_;
    server_options options_;
    server_phase phase_ = server_phase::serving;
    std::size_t open_ = 0;
    bool accepting_ = false; // `accept_all` is running
    bool escalated_ = false;
    teardown_counters counters_;
    intrusive_list<tracked, tracked> tracked_;
    std::vector<drain_report::straggler> stragglers_;
    std::optional<loop::time_point> last_shortage_;
    scope* handlers_ = nullptr;
    event draining_;
    event connection_closed_;
    event ended_;    // nobody is served and nothing accepted any more
    event progress_; // `ended_` or escalated: what a drain waits for
};

} // namespace ringdown
