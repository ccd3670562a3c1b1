#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>

#include <ringdown/net/connection.hpp>
#include <ringdown/net/receive.hpp>
#include <ringdown/net/send.hpp>
#include <ringdown/net/socket_options.hpp>
#include <ringdown/net/tracked_operation.hpp>

namespace ringdown {

/// The bytes of a text, for `send`.
inline std::span<const std::byte> bytes_of(std::string_view text) noexcept {
    return std::as_bytes(std::span(text));
}

/// A connected stream socket: TCP or unix.
///
/// A handle to a state block that the loop owns; moving it moves the handle only, also while
/// operations are in flight. A stream that is destroyed while its connection is open is aborted,
/// not finished, since a FIN after a truncated answer would look complete to the peer: end it with
/// one of the verbs of shutdown/.
/// Threads: stays on its loop.
class stream {
public:
    stream() noexcept = default;
    explicit stream(connection& to) noexcept : to_(to) {}
    stream(stream&& other) noexcept = default;
    stream& operator=(stream&& other) noexcept {
        if (this != &other) {
            drop();
            to_ = std::move(other.to_);
        }
        return *this;
    }
    ~stream() { drop(); }

    /// False when it was default-made or moved from.
    explicit operator bool() const noexcept { return static_cast<bool>(to_); }

    /// Receives at least one byte into `into`, and at most its size; answers how many.
    ///
    /// Errors: `errc::end_of_stream` after the last byte before the peer's FIN;
    /// `connection_reset` when the peer reset; `timed_out` and the like when the network gave up;
    /// `errc::ending` when the connection is being ended; `invalid_argument` for an empty buffer.
    /// Lifetime: `into` stays until the operation has ended.
    /// Cancellation: safe; bytes that had arrived are returned, never dropped.
    /// Source: recv(2), IORING_OP_RECV (Linux 5.6).
    [[nodiscard]] recv_operation recv(std::span<std::byte> into) noexcept {
        return {connection_of(), into};
    }

    /// Receives at least one byte into a buffer of the loop, which goes back when the lease ends.
    ///
    /// An idle connection holds no buffer this way. One receive at a time; `recv` may follow it.
    /// Errors, cancellation: as `recv`. Waits while every buffer of the loop is out on lease.
    /// Source: IORING_RECV_MULTISHOT (Linux 6.0), IORING_REGISTER_PBUF_RING (Linux 5.19).
    [[nodiscard]] lease_operation recv_lease() noexcept { return lease_operation(connection_of()); }

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
        return {connection_of(), data, send_operation::form::plain};
    }

    /// Sends all parts in order, as one `send`.
    ///
    /// Errors, cancellation: as `send`. Lifetime: `parts` and what they name stay until the
    /// operation has ended. Source: sendmsg(2), IORING_OP_SENDMSG (Linux 5.3).
    [[nodiscard]] send_operation send_vectored(std::span<const iovec> parts) noexcept {
        return {connection_of(), parts};
    }

    /// As `send`, without copying; ends when the kernel has let go of `data`, which can be as late
    /// as the peer's acknowledgement. An abort frees it at once.
    ///
    /// Source: IORING_OP_SEND_ZC (Linux 6.0); plain `send` where the kernel has none.
    [[nodiscard]] send_operation send_zero_copy(std::span<const std::byte> data) noexcept {
        return {connection_of(), data, send_operation::form::zero_copy};
    }

    /// Sends all of `data` and FIN behind it, on the same segment where they fit.
    ///
    /// Answers when the kernel has accepted the data and FIN was asked for. Reading goes on; end
    /// the connection with `graceful_close`, whose report tells what arrived.
    /// Errors, lifetime, cancellation: as `send`; no FIN follows data that was cut short.
    /// Source: MSG_MORE in send(2), shutdown(2).
    [[nodiscard]] send_operation send_last(std::span<const std::byte> data) noexcept {
        return {connection_of(), data, send_operation::form::last};
    }

    /// Ends the sending direction: FIN follows every byte already handed to a send.
    ///
    /// The peer can still send; keep reading until end of stream.
    /// Errors: `not_connected` when the peer has already reset, `operation_canceled` when a send
    /// before it was cut short, so that no FIN was sent.
    /// Cancellation: ends the wait; a FIN that was asked for is not recalled.
    /// Source: shutdown(2), RFC 9293 section 3.6, IORING_OP_SHUTDOWN (Linux 5.11).
    task<result<void>> shutdown_send();

    /// Sets a socket option to `value`, whose type is the option's. Source: setsockopt(2).
    template <class Value>
    [[nodiscard]] auto set_option(int level, int option, const Value& value) noexcept {
        using descriptor = operations::set_socket_option<Value>;
        return tracked_operation<descriptor>(
            connection_of(), descriptor{connection_of().descriptor(), level, option, value});
    }

    /// Reads a socket option of type `Value`. Source: getsockopt(2).
    template <class Value>
    [[nodiscard]] auto get_option(int level, int option) noexcept {
        using descriptor = operations::get_socket_option<Value>;
        return tracked_operation<descriptor>(
            connection_of(), descriptor{connection_of().descriptor(), level, option, {}});
    }

    /// Configures kernel linger (SO_LINGER) for a close that the application does itself; a time
    /// below zero turns it off, zero makes that close abort, and above zero it would block there.
    ///
    /// The endings of the library never depend on it.
    /// Source: socket(7); a ring command since Linux 6.7.
    [[nodiscard]] auto set_linger(std::chrono::seconds time) noexcept {
        const bool on = time >= std::chrono::seconds::zero();
        return set_option(SOL_SOCKET, SO_LINGER,
                          linger{on, on ? static_cast<int>(time.count()) : 0});
    }

    /// Chooses what a destroyed stream does to an open connection; by default it aborts.
    void on_drop(drop_action action,
                 std::chrono::nanoseconds within = std::chrono::seconds(30)) noexcept {
        connection_of().when_dropped({action, within});
    }

    /// Says that this task waits for a request and holds nothing of one; or that it does no longer.
    ///
    /// A server that drains ends such a connection, beside its handler: the receive then answers
    /// `operation_canceled` or `errc::ending`. It looks for bytes first, in the kernel as well, so
    /// a request that has arrived is served. What is received takes the mark away, too. Not for a
    /// connection whose peer waits for us: an answer, or the rest of one, may be due.
    void mark_idle(bool idle = true) noexcept { connection_of().mark_idle(idle); }

    /// The peer's address, known even when the peer is already gone; AF_UNSPEC after closing.
    [[nodiscard]] address peer();
    /// The connection's number within the process, as in its report.
    [[nodiscard]] std::uint64_t number() const noexcept { return connection_of().number(); }
    /// Bytes handed over, sent, received and discarded so far.
    [[nodiscard]] const connection::counters& bytes() const noexcept {
        return connection_of().bytes();
    }
    /// For calls of the application's own; closing it is the library's business.
    [[nodiscard]] int native_handle() const noexcept { return connection_of().descriptor(); }
    [[nodiscard]] loop& on() const noexcept { return connection_of().on(); }

    /// The state block, for what is built on streams.
    [[nodiscard]] connection& connection_of() const noexcept {
        require(static_cast<bool>(to_), "a stream was used after it was moved away");
        return *to_;
    }

private:
    void drop() noexcept {
        if (!to_) return;
        to_->abandon();
        to_ = {};
    }

    connection_ref to_;
};

/// Marks a connection idle from its making to its end; put it around the wait for a request.
class [[nodiscard]] idle_mark {
public:
    explicit idle_mark(stream& waits) noexcept : waits_(waits.connection_of()) {
        waits_->mark_idle(true);
    }
    idle_mark(const idle_mark&) = delete;
    idle_mark& operator=(const idle_mark&) = delete;
    ~idle_mark() { waits_->mark_idle(false); }

private:
    connection_ref waits_;
};

/// Takes over a connected stream socket that the application made itself.
///
/// The descriptor is switched to blocking mode, which the ring wants, and its SO_LINGER cleared.
/// Errors: `not_a_socket`, `not_connected`, `protocol_not_supported` unless TCP or a unix stream.
/// On error the descriptor stays the caller's.
result<stream> adopt(loop& on, int fd);

} // namespace ringdown
