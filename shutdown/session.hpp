#pragma once

#include <coroutine>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include <ringdown/net/stream.hpp>
#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/task.hpp>
#include <ringdown/shutdown/session_state.hpp>

namespace ringdown {

/// A receive of a session, which sees the peer's end.
template <class Operation>
class [[nodiscard]] session_receive {
public:
    template <class... Arguments>
    explicit session_receive(session_ref by, Arguments... arguments) noexcept
        : by_(std::move(by)), receive_(by_->connection_of(), arguments...) {}

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
        return receive_.await_suspend(task);
    }
    auto await_resume() {
        auto received = receive_.await_resume();
        if (!received) by_->note_end(received.error());
        return received;
    }

private:
    session_ref by_;
    Operation receive_;
};

/// A send that belongs to no request: refused once the shutdown has begun.
class [[nodiscard]] session_send {
public:
    session_send(session_ref by, std::span<const std::byte> data) noexcept
        : by_(std::move(by)), send_(by_->connection_of(), data, send_operation::form::plain) {}

    bool await_ready() noexcept {
        refused_ = by_->phase() != session_phase::open;
        return refused_;
    }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
        return send_.await_suspend(task);
    }
    sent await_resume() const noexcept {
        return refused_ ? sent{0, errc::ending} : send_.await_resume();
    }

private:
    session_ref by_;
    send_operation send_;
    bool refused_ = false;
};

/// A request in progress: of a client, an answer that is due; of a server, one that is owed.
///
/// While there is one, an ending session waits for it. Move-only; one that is destroyed without
/// `finish` counts as cancelled.
class [[nodiscard]] request {
public:
    request() noexcept = default;
    request(request&& other) noexcept : of_(std::exchange(other.of_, {})) {}
    request& operator=(request&& other) noexcept {
        if (this != &other) {
            end(false);
            of_ = std::exchange(other.of_, {});
        }
        return *this;
    }
    ~request() { end(false); }

    explicit operator bool() const noexcept { return static_cast<bool>(of_); }

    /// Sends part of the request, or of its answer; a server's also while its session is ending.
    ///
    /// Errors, lifetime, cancellation: as `stream::send`.
    [[nodiscard]] send_operation send(std::span<const std::byte> data) noexcept {
        return {of_->connection_of(), data, send_operation::form::plain};
    }

    /// The answer has been received, or was handed to `send`: the request is no longer in
    /// progress.
    void finish() noexcept { end(true); }

private:
    friend class session;
    explicit request(session_ref of) noexcept : of_(std::move(of)) {}

    void end(bool answered) noexcept {
        if (const session_ref of = std::exchange(of_, {})) of->end_request(answered);
    }

    session_ref of_;
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
    /// `when_peer_ends` is what holds when the peer begins.
    session(stream over, session_role role, const session_policy& when_peer_ends = {});
    session(session&&) noexcept = default;
    session& operator=(session&& other) noexcept;
    ~session();

    /// Begins a request, unless the session is ending.
    ///
    /// Errors: `errc::ending`; such requests are counted, of a server as dropped;
    /// `connection_reset` and the like when the connection has failed.
    result<request> begin_request();

    /// Begins the shutdown. The first caller wins, and is told so by true; so is nobody when the
    /// peer, or the loss of the connection, came first.
    bool begin_shutdown(const session_policy& policy = {});

    /// Resets the connection now; requests in progress are cancelled. An ending under way is cut
    /// short.
    void abort(teardown_cause why = teardown_cause::application) { state_->abort(why); }

    /// Receives as `stream::recv` does, and sees the peer's end.
    ///
    /// Errors: as there; `errc::ending` when a server's session shuts down, or a client's has
    /// nothing more to receive.
    [[nodiscard]] auto recv(std::span<std::byte> into) noexcept {
        return session_receive<recv_operation>(state_, into);
    }
    /// The same into a buffer of the loop, as `stream::recv_lease`.
    [[nodiscard]] auto recv_lease() noexcept { return session_receive<lease_operation>(state_); }

    /// Sends what belongs to no request, such as a notification.
    ///
    /// Errors: as `stream::send`; `errc::ending` once the shutdown has begun; those that had not
    /// begun then may be cancelled, as `session_policy::unsent` says.
    [[nodiscard]] auto send(std::span<const std::byte> data) noexcept {
        return session_send(state_, data);
    }

    /// The protocol has received the first part of a message and not its end, or no longer. A FIN
    /// of the peer's in between is `truncated`.
    void inside_message(bool inside) noexcept { state_->inside_message(inside); }

    /// The next of the session's events, each of them once and in order; nothing after
    /// `shutdown_completed`.
    ///
    /// Errors: `operation_canceled`. Cancellation: safe, no event is lost.
    task<result<std::optional<session_event>>> next_event();

    /// Waits for the peer's end, or for the session's if the peer has none of its own; answers how
    /// the peer ended.
    ///
    /// Errors, cancellation: as `next_event`.
    task<result<session_peer_end>> peer_ended();

    /// Waits until the connection is closed, however that came about.
    ///
    /// Errors, cancellation: as `next_event`.
    task<result<session_report>> completed();

    [[nodiscard]] session_phase phase() const noexcept { return state_->phase(); }
    [[nodiscard]] std::size_t pending() const noexcept { return state_->pending(); }
    [[nodiscard]] connection& connection_of() const noexcept { return state_->connection_of(); }

private:
    friend class session_group;

    session_ref state_;
};

} // namespace ringdown
