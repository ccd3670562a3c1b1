#pragma once

#include <chrono>
#include <coroutine>
#include <memory>
#include <optional>

#include <ringdown/net/datagram.hpp>
#include <ringdown/net/packet_stream.hpp>
#include <ringdown/net/stream.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/runtime/internal/waiting.hpp>
#include <ringdown/runtime/task.hpp>
#include <ringdown/shutdown/ending/internal/report_sink.hpp>
#include <ringdown/shutdown/ending/policy.hpp>
#include <ringdown/shutdown/ending/report.hpp>

namespace ringdown {

/// Waits for the end of a connection, and answers its report. Made by the verbs below.
///
/// Most handlers have one in their frame from the beginning and need it at their end, so what it
/// consists of is taken from the pool when the verb is called.
class [[nodiscard]] ending_operation final {
public:
    enum class form : std::uint8_t {
        graceful, ///< Begins an ending, or joins the one under way.
        abort,    ///< The same, and cuts short one under way.
        watch,    ///< Begins nothing, and cancels nothing when it is cancelled itself.
    };

    ending_operation(connection& ended, const ending_request& request, form how)
        : state_(std::make_unique<state>(ended, request, how)) {}

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
        return state_->wait(task, task.promise().governing());
    }
    const teardown_report& await_resume() const noexcept { return state_->report(); }

private:
    class state final : public pooled, public waiting, private later_follower<report_sink> {
    public:
        state(connection& ended, const ending_request& request, form how) noexcept
            : ended_(ended), request_(request), form_(how) {}
        ~state() {
            if (!report_) ended_->unfollow(*this);
        }

        bool wait(std::coroutine_handle<> task, strand* strand);
        [[nodiscard]] const teardown_report& report() const noexcept { return *report_; }

    private:
        bool begin();
        void join();
        void cancel(cancel_reason reason) noexcept override;
        void reported(const teardown_report& report) noexcept override {
            report_ = &report;
            wake();
        }

        connection_ref ended_;
        ending_request request_;
        form form_;
        const teardown_report* report_ = nullptr;
    };

    std::unique_ptr<state> state_;
};

/// Ends a connection without losing what was sent: every byte handed over is flushed, FIN put
/// behind it, what the peer still sends is discarded until its own FIN, then it is closed.
///
/// Past the policy's deadline, idle time or discard cap it aborts, and the report says `degraded`
/// and why. From the call on, new operations on the stream fail with `errc::ending`, and receives
/// in flight are cancelled. Where two tasks end one connection, the first call counts, and both
/// get the report.
/// Where the last send was cut short, and nothing was sent since, it aborts (cause `canceled`),
/// since a FIN would make the stream look complete.
/// Lifetime: buffers of sends that are flushed stay until those sends have ended.
/// Cancellation: when the last task that waits is cancelled, the connection is aborted (cause
/// `canceled`); its report is still answered.
/// Source: RFC 9293 section 3.6; `ending`.
/// @{
ending_operation graceful_close(connected_socket& ended, const ending_policy& policy);
ending_operation graceful_close(connected_socket& ended);
/// @}

/// Ends a connection now, by RST, whatever is in flight; nothing lingers and nothing stays in
/// TIME_WAIT. What the peer has not acknowledged is lost, and counted by the report.
///
/// A graceful ending under way is cut short. Unix sockets know no RST: they are just closed.
/// Where the kernel refuses the reset, the close resets, provided that nobody else holds the
/// socket; where it refuses that too, `reset_sent` is false unless bytes were unread, and `error`
/// says why. Cancellation: safe, it waits for the kernel alone. Source: connect(2) with AF_UNSPEC;
/// SO_LINGER in socket(7).
ending_operation abort_close(connected_socket& ended);

/// One of the three classic closes, with the deadline that belongs to it.
class lingering {
public:
    /// Returns at once; the loop ends the connection gracefully, to the deadline, then by RST.
    static lingering background(std::chrono::nanoseconds within) noexcept {
        return {plans::background, within};
    }
    /// Waits until the peer's kernel has acknowledged everything, FIN included; at the deadline
    /// RST.
    static lingering wait(std::chrono::nanoseconds within) noexcept {
        return {plans::wait, within};
    }
    /// RST at once.
    static lingering abort() noexcept { return {plans::abort, {}}; }

    [[nodiscard]] const ending_plan& plan() const noexcept { return plan_; }
    [[nodiscard]] std::chrono::nanoseconds within() const noexcept { return within_; }

private:
    lingering(const ending_plan& plan, std::chrono::nanoseconds within) noexcept
        : plan_(plan), within_(within) {}

    ending_plan plan_;
    std::chrono::nanoseconds within_;
};

/// Closes as SO_LINGER would, without ever blocking the loop, and with a report.
///
/// Answers the report; for `background` nothing, since that one goes to the loop's ledger.
/// Errors: none; the report tells. Cancellation: as `graceful_close`, none for `background`.
/// Source: socket(7), SO_LINGER.
task<std::optional<teardown_report>> close(connected_socket& ended, lingering how);

/// Closes a datagram socket, once what is in flight on it has been cancelled and joined.
///
/// Each operation gets its own result: `operation_canceled`, or the datagram that it had received
/// or sent before. Datagrams that nobody received are dropped by the kernel, uncounted. The report:
/// `closed`, by `local`, `requested` `none` (there are no kinds of it), delivery `unknown`.
/// Cancellation: safe, it waits for the kernel alone.
/// Source: close(2), udp(7).
ending_operation close(datagram_socket& closed);

/// Ends a connection by a plan, one of `plans` or a row of your own; the verbs above each name one.
///
/// Answers the report. Errors, lifetime, cancellation: as `graceful_close`, or as `abort_close`
/// where the plan flushes nothing.
/// @{
ending_operation end(connected_socket& ended, const ending_plan& plan, const ending_policy& policy);
ending_operation end(connected_socket& ended, const ending_plan& plan);
/// @}

/// The same, with a cause for the report, and what the application still does meanwhile.
ending_operation end_connection(connected_socket& ended, const ending_request& request);

/// Begins an ending and does not wait; the report goes to the loop's ledger. Does nothing if the
/// connection is ending already.
void begin_ending(connected_socket& ended, const ending_request& request);

/// Waits until the connection has ended, however that came about, and answers its report.
///
/// Cancellation: none; it ends when the connection does.
ending_operation ended(socket_handle& watched);

} // namespace ringdown
