#pragma once

#include <coroutine>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include <ringdown/net/stream.hpp>
#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/internal/assert.hpp>
#include <ringdown/runtime/task.hpp>
#include <ringdown/shutdown/ending/peer_closed.hpp>
#include <ringdown/shutdown/session/internal/session_state.hpp>

namespace ringdown {

/// A receive of a session, which sees the peer's end.
template <class Operation>
class [[nodiscard]] session_receive {
public:
    template <class... Arguments>
    explicit session_receive(session_ref session, Arguments... arguments) noexcept
        : by_(std::move(session)), receive_(by_->connection_of(), arguments...) {}

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
        const bool waits = receive_.await_suspend(task);
        if (waits) by_->begin_receive();
        return waits;
    }
    auto await_resume() {
        by_->end_receive();
        auto received = receive_.await_resume();
        if (!received) by_->note_end(received.error());
        return received;
    }

private:
    session_ref by_;
    Operation receive_;
};

/// A send of a session, on behalf of a request or of none.
class [[nodiscard]] session_send {
public:
    session_send(session_ref session, std::uint64_t request,
                 std::span<const std::byte> data) noexcept
        : by_(std::move(session)), request_(request),
          send_(by_->connection_of(), data, send_operation::form::plain) {}

    bool await_ready() noexcept {
        refused_ = by_->begin_send(request_);
        return static_cast<bool>(refused_);
    }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
        return send_.await_suspend(task);
    }
    sent await_resume() noexcept {
        if (refused_) return {0, refused_};
        const sent outcome = send_.await_resume();
        by_->end_send(request_, outcome);
        return outcome;
    }

private:
    session_ref by_;
    std::uint64_t request_;
    send_operation send_;
    std::error_code refused_;
};

/// A request in progress: of a client, an answer that is due; of a server, one that is owed.
///
/// While there is one, an ending session waits for it. Move-only; one that is destroyed without
/// `finish` counts as cancelled.
class [[nodiscard]] request {
public:
    request() noexcept = default;
    request(request&& other) noexcept : of_(std::exchange(other.of_, {})), number_(other.number_) {}
    request& operator=(request&& other) noexcept {
        if (this != &other) {
            end(false);
            of_ = std::exchange(other.of_, {});
            number_ = other.number_;
        }
        return *this;
    }
    ~request() { end(false); }

    explicit operator bool() const noexcept { return static_cast<bool>(of_); }

    /// Sends part of the request, or of its answer; a server's also while its session is ending.
    ///
    /// A send that was cut short has left a hole, which only the same request can fill by sending
    /// the rest. Until then every other send of the session is refused with `operation_canceled`,
    /// and a session that ends so is reset: a FIN would make what went look whole.
    /// Errors: as `stream::send`; `errc::ending` for a client's request once the shutdown has
    /// begun. Lifetime, cancellation: as there.
    [[nodiscard]] auto send(std::span<const std::byte> data) noexcept {
        require(static_cast<bool>(of_), "a request was used after it was finished or moved away");
        return session_send(of_, number_, data);
    }

    /// The answer has been received, or was handed to `send`: the request is no longer in
    /// progress. A client calls it before its next receive, because an end of the stream that
    /// comes while answers are due is `truncated`. A second call does nothing.
    void finish() noexcept { end(true); }

private:
    friend class session;
    request(session_ref session, std::uint64_t number) noexcept
        : of_(std::move(session)), number_(number) {}

    void end(bool answered) noexcept {
        if (const session_ref session = std::exchange(of_, {})) session->end_request(answered);
    }

    session_ref of_;
    std::uint64_t number_ = 0; // among the session's, from 1
};

/// A connection on which requests are in progress, and which ends without losing one of them.
///
/// A server's session that begins to shut down stops receiving, lets the requests in progress be
/// answered, and sends FIN behind the last answer. A client's sends FIN at once and awaits the
/// answers that are due, up to the server's FIN. Either follows when the other side began. One
/// deadline covers all of it; past it the connection is reset, and the report says so.
///
/// Lifetime: a handle; requests and operations may outlive it. A session that is destroyed before
/// its shutdown began is disposed of: its connection is dropped, as a stream's would be.
/// Threads: stays on its loop.
class session {
public:
    /// `when_peer_ends` is what holds when the peer begins; a `peer_end_policy` that the stream had
    /// holds no longer.
    session(stream stream, session_role role, const session_policy& when_peer_ends = {});
    session(session&&) noexcept = default;
    session& operator=(session&& other) noexcept;
    ~session();

    /// Begins a request, unless the session is ending.
    ///
    /// Errors: `errc::ending`; such requests are counted as `session_report::dropped`.
    /// `connection_reset` and the like when the connection has failed.
    result<request> begin_request();

    /// Begins the shutdown. The first caller wins, and is told so by true; nobody is when the
    /// peer, the loss of the connection, or an ending of the connection by other means came first.
    /// Whoever comes later chooses nothing any more.
    bool begin_shutdown(const session_policy& policy = {});

    /// Resets the connection now; requests in progress are cancelled. An ending under way is cut
    /// short.
    void abort(teardown_cause why = teardown_cause::application) { shared()->abort(why); }

    /// Receives as `stream::recv` does, and sees the peer's end: while a session is open nothing
    /// else does but `watch_peer`, so keep one receive under way.
    ///
    /// Errors: as there; `errc::ending` when a server's session has begun to shut down, or a
    /// client's has nothing more to receive; one in flight then gets `operation_canceled`.
    [[nodiscard]] auto recv(std::span<std::byte> into) noexcept {
        return session_receive<recv_operation>(shared(), into);
    }
    /// The same into a buffer of the loop, as `stream::recv_lease`.
    [[nodiscard]] auto recv_lease() noexcept { return session_receive<lease_operation>(shared()); }

    /// Sends what belongs to no request, such as a notification.
    ///
    /// Whole, in one call: between two of them a session that waits for a request is idle, and a
    /// drain or an idle time may end it behind the first.
    /// Errors: as `stream::send`; `errc::ending` once the shutdown has begun. A client's that had
    /// not begun then may be cancelled, as `session_policy::unsent` says, and are when the server
    /// has finished. `operation_canceled` behind a send that was cut short, see `request::send`.
    [[nodiscard]] auto send(std::span<const std::byte> data) noexcept {
        return session_send(shared(), 0, data);
    }

    /// The protocol has received the first part of a message and not its end, or no longer. A FIN
    /// of the peer's in between is `truncated`.
    void inside_message(bool inside) noexcept { shared()->inside_message(inside); }

    /// As `stream::set_idle`. While requests are in progress no time passes.
    bool set_idle(std::chrono::nanoseconds time) {
        return tell_idle_time(shared()->connection_of(), time);
    }
    [[nodiscard]] loop& on() const noexcept { return shared()->connection_of().on(); }

    /// Lets the session see the peer's end while the application does not receive, because enough
    /// requests are in progress or because nothing is to come: a reset at once, a FIN when
    /// everything before it has been received. To be spawned beside the handler; ends with it.
    ///
    /// A peer whose data does not fit into a full window has not sent its FIN yet. Once a shutdown
    /// has begun, receives tell, or the ending does.
    /// Cancellation: at once. Source: poll(2), POLLRDHUP.
    task<void> watch_peer();

    /// The next of the session's events, each of them once and in order; nothing after
    /// `shutdown_completed`. Of several that wait, each gets another event.
    ///
    /// Errors: `operation_canceled`. Cancellation: safe, no event is lost.
    task<result<std::optional<session_event>>> next_event();

    /// Waits for the peer's end, or for the session's if the peer has none of its own; answers how
    /// the peer ended, as far as is known by then: a reset can follow a FIN.
    ///
    /// Errors, cancellation: as `next_event`.
    task<result<session_peer_end>> peer_ended();

    /// Waits until the connection is closed, however that came about.
    ///
    /// Errors, cancellation: as `next_event`.
    task<result<session_report>> completed();
    /// The same in spite of a cancellation; the session's deadline, once it ends, is the limit.
    task<session_report> join();

    [[nodiscard]] session_phase phase() const noexcept { return shared()->phase(); }
    [[nodiscard]] std::size_t pending() const noexcept { return shared()->pending(); }

private:
    friend class session_group;
    friend struct session_access;

    [[nodiscard]] const session_ref& shared() const noexcept {
        require(static_cast<bool>(state_), "a session was used after it was moved away");
        return state_;
    }

    session_ref state_;
};

/// As `peer_closed` of a stream: sees the peer's end while the session does not receive, because
/// enough requests are in progress. The session hears of it when it receives again, or by
/// `session::watch_peer`.
peer_closed_operation peer_closed(session& watched) noexcept;

} // namespace ringdown
