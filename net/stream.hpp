#pragma once

#include <algorithm>
#include <chrono>
#include <climits>
#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include <ringdown/net/internal/receive.hpp>
#include <ringdown/net/internal/send.hpp>
#include <ringdown/net/layer.hpp>
#include <ringdown/net/socket_handle.hpp>

namespace ringdown {

/// The bytes of a text, for `send`.
inline std::span<const std::byte> bytes_of(std::string_view text) noexcept {
    return std::as_bytes(std::span(text));
}

/// A connected stream socket: TCP or unix.
///
/// One that is destroyed while its connection is open is aborted, not finished, since a FIN after
/// a truncated answer would look complete to the peer: end it with one of the verbs of shutdown/.
/// Threads: stays on its loop.
class stream : public connected_socket {
public:
    stream() noexcept = default;
    explicit stream(connection& connection) noexcept : connected_socket(connection) {}

    /// Receives at least one byte into `into`, and at most its size; answers how many.
    ///
    /// Errors: `errc::end_of_stream` after the last byte before the peer's FIN;
    /// `connection_reset` when the peer reset; `timed_out` and the like when the network gave up;
    /// `errc::ending` when the connection is being ended, or receiving was shut down;
    /// `invalid_argument` for an empty buffer.
    /// Lifetime: `into` stays until the operation has ended.
    /// Cancellation: safe; bytes that had arrived are returned, never dropped.
    /// Source: recv(2), IORING_OP_RECV (Linux 5.6).
    [[nodiscard]] recv_operation recv(std::span<std::byte> into) noexcept {
        return {state(), into};
    }

    /// Receives at least one byte into a buffer of the loop, which goes back when the lease ends.
    ///
    /// An idle connection holds no buffer this way. One receive at a time; `recv` may follow it.
    /// When three quarters of the loop's buffers are held, what arrives is copied into memory of
    /// its own size and the lease owns that: leases that are kept, for a peer that does not read
    /// its answer, cost memory and never another connection its service.
    ///
    /// A connection that nobody reads holds eight buffers at most, or one where less than half of
    /// them are left, and what the kernel brings before it is stopped: of messages no larger than a
    /// buffer one turn's, never more than the loop has buffers. Beside these it holds the leases
    /// that you keep.
    /// Errors, cancellation: as `recv`. Where memory has run out too, it waits for a buffer.
    /// Source: IORING_RECV_MULTISHOT (Linux 6.0), IORING_REGISTER_PBUF_RING (Linux 5.19).
    [[nodiscard]] lease_operation recv_lease() noexcept { return lease_operation(state()); }

    /// Sends all of `data`, behind every send that was handed over before.
    ///
    /// Errors: with `bytes` telling how many the kernel accepted before: `connection_reset`,
    /// `operation_canceled`, `broken_pipe` after `shutdown_send`, `errc::ending` when the
    /// connection is being ended. What is queued behind a send that was cut short is refused with
    /// `operation_canceled`, because the stream must not go on after a hole.
    /// Lifetime: `data` stays until the operation has ended.
    /// Cancellation: safe; bytes accepted cannot be recalled and are counted.
    /// Source: send(2), IORING_OP_SEND (Linux 5.6).
    [[nodiscard]] send_operation send(std::span<const std::byte> data) noexcept {
        return {state(), data, send_operation::form::plain};
    }

    /// Sends what a lease holds, which stays until the operation has ended. A peer that does not
    /// read makes that late, but costs nobody else a buffer (`recv_lease`).
    template <std::same_as<lease> Lease> // so that `{}` is no lease
    [[nodiscard]] send_operation send(const Lease& data) noexcept {
        return send(data.data());
    }

    /// Sends all parts in order, as one `send`.
    ///
    /// Errors, cancellation: as `send`. Lifetime: `parts` and what they name stay until the
    /// operation has ended. Source: sendmsg(2), IORING_OP_SENDMSG (Linux 5.3).
    [[nodiscard]] send_vectored_operation send_vectored(std::span<const iovec> parts) noexcept {
        return {state(), parts};
    }

    /// As `send`, without copying; ends when the kernel has let go of `data`, which can be as late
    /// as the peer's acknowledgement. An abort frees it at once.
    ///
    /// Source: IORING_OP_SEND_ZC (Linux 6.0). What the kernel has no zero copy for, or the user's
    /// limit on locked memory does not allow, is copied, as by `send`.
    [[nodiscard]] send_operation send_zero_copy(std::span<const std::byte> data) noexcept {
        return {state(), data, send_operation::form::zero_copy};
    }

    /// Sends all of `data` and FIN behind it, on the same segment where they fit.
    ///
    /// Answers when the kernel has accepted the data and FIN was asked for; at once, without a
    /// turn of the loop, where that takes 64 KiB at most and nothing waits before it. Reading goes
    /// on; end the connection with `graceful_close`, whose report tells what arrived.
    /// Errors, lifetime, cancellation: as `send`; no FIN follows data that was cut short. Empty
    /// `data` behind a send that was cut short is `operation_canceled`: it would be no rest of it.
    /// Source: MSG_MORE in send(2), shutdown(2).
    [[nodiscard]] send_operation send_last(std::span<const std::byte> data) noexcept {
        return {state(), data, send_operation::form::last};
    }

    /// Ends the receiving direction: what has not been received by now, and what still comes, is
    /// dropped and counted in `discarded_bytes`, so the peer's end is still seen (`peer_closed`).
    ///
    /// Receives in flight are cancelled, later ones fail with `errc::ending`. Nothing goes over the
    /// wire: TCP cannot tell the peer. A peer that sends more than `discard_bytes_max` from here on
    /// is reset: an ending that nobody asked for, cause `discard_limit`. Called again, the new cap
    /// holds. SHUT_RD is not used: on Linux it keeps queueing what arrives, and a close resets.
    /// Errors: `errc::ending` when the connection is being ended.
    task<result<void>> shutdown_receive(std::uint64_t discard_bytes_max = 16 << 20);

    /// `shutdown_receive` and `shutdown_send`. The connection stays, to be ended by a verb.
    task<result<void>> shutdown_both(std::uint64_t discard_bytes_max = 16 << 20);

    /// Configures kernel linger (SO_LINGER) for a close that the application does itself; a time
    /// below zero turns it off, zero makes that close abort, and above zero it would block there.
    /// A time of more seconds than the option holds is the longest that it holds.
    ///
    /// The endings of the library never depend on it.
    /// Source: socket(7); a ring command since Linux 6.7.
    [[nodiscard]] auto set_linger(std::chrono::seconds time) noexcept {
        const bool on = time >= std::chrono::seconds::zero();
        const auto held = std::clamp<std::chrono::seconds::rep>(time.count(), 0, INT_MAX);
        return set_option(SOL_SOCKET, SO_LINGER, linger{on, static_cast<int>(held)});
    }

    /// Says that this task waits for a request and holds nothing of one; or that it does no longer.
    ///
    /// A server that drains ends such a connection, beside its handler: the receive then answers
    /// `operation_canceled` or `errc::ending`. It looks for bytes first, in the kernel as well, so
    /// a request that has arrived is served. What is received takes the mark away, too. A server's
    /// idle time ends such a connection in the same way, and resets one that stands still without
    /// the mark. Not for a connection whose peer waits for us: an answer, or the rest of one, may
    /// be due.
    void mark_idle(bool idle = true) noexcept;

    /// Gives this connection an idle time of its own, from now on, instead of its server's
    /// (`server_options::idle`, which says what is idle and what becomes of it); zero: none.
    ///
    /// For a handler that makes its peer wait longer than others do, or that waits for its peer
    /// longer. May be called at any time and again. Answers false where no server serves the
    /// connection: then nobody keeps the time.
    bool set_idle(std::chrono::nanoseconds time);

    /// Puts a layer between this stream and its socket: from now on what is sent goes through it,
    /// and what is received comes out of it (`layer`).
    ///
    /// What was received and not taken yet is the first that the layer gets. Nothing may be under
    /// way on the stream (an assertion). A `release` hands out the socket without the layer: what
    /// that has received and not given to the application is lost.
    /// Errors: `errc::ending` when the connection is being ended, or receiving was shut down;
    /// `broken_pipe` behind `shutdown_send`, or a send that was cut short.
    result<void> use_layer(std::unique_ptr<layer> beneath);

private:
    friend class idle_mark;
};

/// Marks a connection idle from its making to its end; put it around the wait for a request.
class [[nodiscard]] idle_mark {
public:
    explicit idle_mark(stream& waits) noexcept : waits_(waits.state()) { mark(true); }
    idle_mark(const idle_mark&) = delete;
    idle_mark& operator=(const idle_mark&) = delete;
    ~idle_mark() { mark(false); }

private:
    void mark(bool idle) noexcept;

    connection_ref waits_;
};

/// Takes over a connected stream socket that the application made itself.
///
/// The descriptor is switched to blocking mode, which the ring wants, and its SO_LINGER cleared.
/// What the application sent on it before is in no count of the report, and FIN is if it goes out
/// or is acknowledged later. Where acknowledgements come faster than they can be counted, the
/// report knows of less than arrived, never of more.
///
/// Taken is whatever has a connection: open, finished by either side (FIN_WAIT, CLOSE_WAIT,
/// LAST_ACK, CLOSING), ended in order by both, accepted before its handshake was done
/// (TCP_FASTOPEN), and a unix stream whose peer has gone after it had read everything.
///
/// Errors: `not_a_socket`; `not_connected` where a connect is under way or never was, of a
/// listening socket, after a reset or a lost network, and of a unix stream whose peer left bytes
/// unread; `protocol_not_supported` unless TCP or a unix stream, and where another protocol lies
/// over TCP (TCP_ULP, as for kTLS), since the kernel then counts that one's bytes.
/// On error the descriptor stays the caller's.
/// Source: TCP_INFO in tcp(7), SIOCOUTQ.
result<stream> adopt(loop& loop, int fd);

} // namespace ringdown
