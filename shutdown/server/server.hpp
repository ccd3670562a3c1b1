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
#include <ringdown/shutdown/ending/ledger.hpp>
#include <ringdown/shutdown/ending/policy.hpp>
#include <ringdown/shutdown/ending/report.hpp>
#include <ringdown/shutdown/server/drain.hpp>
#include <ringdown/shutdown/server/server_phase.hpp>
#include <ringdown/shutdown/server/snapshot.hpp>

namespace ringdown {

/// What callbacks throw is kept, see `loop::callback_failures`: the server goes on, and no report
/// is lost. `on_phase` is a task, and so is a handler; each has a callback that is told.
struct server_options {
    /// Called with the report of each connection that was accepted; must not wait.
    std::function<void(const teardown_report&)> on_report{};
    /// Makes the layer of each connection (`stream::use_layer`); empty: none. One that throws is
    /// like a handler that does.
    std::function<std::unique_ptr<ringdown::layer>()> layer{};
    /// A connection on which no byte is received, accepted by the kernel or acknowledged for this
    /// long is ended beside its handler, cause `idle`. Zero: never. `stream::set_idle` gives a
    /// connection a time of its own.
    ///
    /// One that is idle is ended as `when_idle` asks: its handler marked it so
    /// (`stream::mark_idle`), or nothing was sent on it either way. Any other stands still in the
    /// middle of a request or an answer and is reset, also when it is the handler that makes its
    /// peer wait, because FIN would make half an answer look whole. A session with requests in
    /// progress never stands still.
    std::chrono::nanoseconds idle{0};
    /// How an idle one is ended; the report names `idle` as the cause, whatever this says.
    ending_request when_idle{};
    /// Connections that are open at a time at most, each until it has been reported; 0: as many as
    /// come.
    ///
    /// Beyond it nobody is accepted: newcomers wait in the kernel's queue, up to
    /// `listen_options::backlog` of them, until a connection has been reported; `on_accept_paused`
    /// is told `errc::connection_limit`. A drain serves who waits there within the limit, up to its
    /// deadline. Of servers that share a socket, one at its limit leaves newcomers to the others.
    std::size_t connections_max = 0;
    /// Accepting has paused, because descriptors or memory have run out, or `connections_max` are
    /// open; it resumes by itself. Called once for each shortage, not for each attempt: again after
    /// ten seconds without one.
    std::function<void(std::error_code)> on_accept_paused{};
    /// The kernel permits a drain no way to refuse newcomers (`refusal::denied`), and says why:
    /// those who connect as the listening socket is closed are reset. Called once at most.
    std::function<void(std::error_code)> on_refusal_denied{};
    /// Accepting has become impossible for good, and `run` is about to answer why: somebody has
    /// shut the listening socket down, perhaps. Connections that are open go on.
    std::function<void(std::error_code)> on_accept_failed{};
    /// A handler has thrown; its connection was dropped, and nothing else is harmed. Where this is
    /// not set, nobody is told.
    std::function<void(std::exception_ptr)> on_handler_failed{};
    /// Runs beside each phase of a drain, from its beginning; the next phase waits until it has
    /// ended. So is `serving`, when a drain was called off. One runs at a time.
    ///
    /// It is cancelled at the drain's deadline, and when somebody escalates or calls the drain off;
    /// one that begins after the deadline is cancelled already. One that does not mind keeps the
    /// drain's answer waiting, but no connection. The drain goes on when it throws:
    /// `on_hook_failed` is told, or else the exception is kept like one of a callback.
    std::function<task<void>(server_phase)> on_phase{};
    /// `on_phase` has thrown.
    std::function<void(server_phase, std::exception_ptr)> on_hook_failed{};
};

/// Accepts connections, runs a handler for each, and ends them all to a deadline.
///
/// Reports always equal accepts: each connection that was accepted is reported once, however it
/// ended, and `run` does not end before the last one was, unless accepting has become impossible.
/// Lifetime: outlives its `run`, its `drain` and its connections (an assertion). Threads: one
/// loop's; servers on several loops share one `listening_socket`.
class server {
public:
    using handler = std::function<task<void>(stream)>;

    server(loop& loop, std::shared_ptr<listening_socket> from, handler serve,
           server_options options = {});
    server(const server&) = delete;
    server& operator=(const server&) = delete;
    ~server();

    /// Serves until the server was drained and every connection has been reported.
    ///
    /// Errors: what made accepting impossible for good, at once; `operation_canceled`. After the
    /// former the connections that are open go on with their handlers: await `drain` to end them in
    /// good order, or let the loop's run end, which aborts them, before the server is destroyed.
    /// Cancellation: the handlers are cancelled, connections still open are aborted.
    task<result<void>> run();

    /// Ends the server in phases: stops being ready, stops accepting and serves who waits in the
    /// queue, ends idle connections, tells the others, waits for them, and aborts what is left at
    /// the deadline.
    ///
    /// Where who waits in the queue cannot be accepted for want of descriptors or memory, idle
    /// connections are ended and the others told at once, whatever the policy's times are; the
    /// queue is served with what they held. When it answers, nothing of this server accepts any
    /// more, and the listening socket is closed, also when the program keeps it, unless it is
    /// handed over or a server that shares it still accepts.
    /// A connection is idle when its handler marked it so (`stream::mark_idle`) and no byte of a
    /// request has arrived, be it in the kernel. One that is marked later is ended then.
    /// A second call escalates: it aborts at once, and both calls are answered, alike. Once
    /// drained, it answers the same report again. On a server that does not run yet, those who are
    /// accepted wait for `run` until the deadline.
    /// Not to be awaited by a handler or hook of this server, which the drain would wait for (an
    /// assertion): spawn it on the loop.
    /// Cancellation: escalates.
    task<drain_report> drain(drain_policy policy = {});

    /// Aborts every connection now, if a drain is under way.
    void escalate() noexcept;

    /// Takes a drain back while the server still accepts, in `unready`: it serves on, and the drain
    /// answers `called_off`. False when it is too late, or no drain is under way.
    bool call_off() noexcept;

    /// False from the beginning of a drain on, and while it does not run: clients should be
    /// directed elsewhere.
    [[nodiscard]] bool ready() const noexcept {
        return accepting_ && phase_ == server_phase::serving;
    }
    [[nodiscard]] server_phase phase() const noexcept { return phase_; }
    /// Set when connections are asked to finish, for handlers that can do so early.
    [[nodiscard]] event& draining() noexcept { return draining_; }
    /// Set after that, at once or after `drain_policy::notice_for`: the request that a peer sends
    /// now is not to be begun.
    [[nodiscard]] event& final_notice() noexcept { return final_notice_; }
    [[nodiscard]] const address& local() const noexcept { return listener_.local(); }
    [[nodiscard]] std::uint64_t accepts() const noexcept { return listener_.accepted(); }
    /// Connections accepted and not yet reported.
    [[nodiscard]] std::size_t open() const noexcept { return open_; }
    [[nodiscard]] const teardown_counters& counters() const noexcept { return counters_; }

    /// What the connections are doing, all in all. Makes one system call at most, for the name of
    /// the oldest one's peer, and changes nothing that a report tells.
    [[nodiscard]] server_summary summary();
    /// The same and each connection. Makes three system calls for each at most, for the peer's
    /// name, once, and to see whether FIN was acknowledged; changes nothing that a report tells
    /// either.
    [[nodiscard]] server_snapshot snapshot();

private:
    class tracked;
    class drain_run;
    void summarize(server_summary& into) const noexcept;

    task<void> serve_all();
    task<result<void>> accept_all(scope& inside);
    task<void> within_limit();
    void serve(stream accepted, loop::time_point at, scope& inside);
    void serve_accepted(loop::time_point at, scope& inside);
    void note_failure(std::error_code why);
    void tell_paused(std::error_code why);
    void note_limit();
    [[nodiscard]] bool full() const noexcept {
        return options_.connections_max > 0 && open_ >= options_.connections_max &&
               phase_ < server_phase::aborting && accepting_;
    }
    task<void> conclude(tracked& handled, std::exception_ptr failure);
    void report(std::unique_ptr<tracked> closed) noexcept;
    task<result<void>> pause(std::error_code why);
    void note_progress() noexcept;
    /// Nobody is served, and nobody waits to be.
    [[nodiscard]] bool nothing_left() const noexcept {
        return !accepting_ && open_ == 0 && taken_ == listener_.accepted();
    }

    // In drain.cpp.
    template <class Done>
    task<bool> pass(drain_run& run, Done done);
    void enter(server_phase next);
    task<void> conduct(drain_run& run, scope& inside);
    task<void> wait_unready(drain_run& run, scope& inside);
    task<void> stop_accepting(drain_run& run);
    void stop_listening();
    void note_refusal(drain_run& run);
    task<void> ask_to_finish(drain_run& run, scope& inside);
    task<void> wait_for_end(drain_run& run, scope& inside);
    task<void> run_hook(drain_run& run, server_phase entered);
    void begin_hook(drain_run& run, scope& inside);
    void cancel_hook() noexcept;
    void abort_all(teardown_cause for_graceful);
    void abort_one(tracked& left, teardown_cause for_graceful);

    loop& on_;
    listener listener_;
    handler handler_;
    server_options options_;
    server_phase phase_ = server_phase::serving;
    std::size_t open_ = 0;
    std::uint64_t taken_ = 0; // of those accepted, by a handler
    bool accepting_ = false;  // `accept_all` is running
    teardown_counters counters_;
    intrusive_list<tracked, tracked> tracked_; // oldest first
    std::optional<loop::time_point> last_shortage_;
    scope* handlers_ = nullptr;
    event draining_;
    event final_notice_;
    event connection_closed_;
    result<void> served_{};            // what `run` answers
    std::exception_ptr serving_threw_; // what it throws
    event run_answers_;
    event all_served_; // nothing of `serve_all` is left

    drain_run* under_way_ = nullptr; // null in `serving`, and once drained
    cancellation* hook_ = nullptr;   // governs the hook that runs
    drain_run* hook_of_ = nullptr;   // whose it is
    event no_hook_;
    std::vector<connection_snapshot> stragglers_;
    std::optional<drain_report> drained_as_;
    event answered_; // `drained_as_` is there
};

} // namespace ringdown
