#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <utility>

#include <ringdown/net/byte_counts.hpp>
#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/tracked_operation.hpp>
#include <ringdown/net/socket_options.hpp>
#include <ringdown/runtime/task.hpp>

namespace ringdown {

/// What every socket of the library is: a handle to a state block that the loop owns.
///
/// Moving it moves the handle only, also while operations are in flight. One that is destroyed
/// while its socket is open leaves it to the loop, which ends it.
/// Threads: stays on its loop.
class socket_handle {
public:
    /// False when it was default-made or moved from.
    explicit operator bool() const noexcept { return static_cast<bool>(to_); }

    /// Sets a socket option to `value`, whose type is the option's.
    ///
    /// Errors: those of setsockopt(2); `protocol_not_supported` for TCP_ULP, which would put
    /// another protocol (kTLS) over the connection, whose bytes the kernel would count instead of
    /// ours.
    template <class Value>
    [[nodiscard]] auto set_option(int level, int option, const Value& value) noexcept {
        using descriptor = operations::set_socket_option<Value>;
        if (level == SOL_SOCKET && option == SO_LINGER) state().note_linger();
        return tracked_operation<descriptor>(
            state(), descriptor{state().descriptor(), level, option, value});
    }

    /// Reads a socket option of type `Value`. Source: getsockopt(2).
    template <class Value>
    [[nodiscard]] auto get_option(int level, int option) noexcept {
        using descriptor = operations::get_socket_option<Value>;
        return tracked_operation<descriptor>(state(),
                                             descriptor{state().descriptor(), level, option, {}});
    }

    /// The peer's address, known even when the peer is already gone; AF_UNSPEC after closing.
    /// Of a datagram socket that is not connected: `0.0.0.0:0` or `[::]:0`.
    [[nodiscard]] address peer();
    /// Where the socket is bound; AF_UNSPEC after closing.
    [[nodiscard]] address local() const noexcept;
    /// The connection's number within the process, as in its report.
    [[nodiscard]] std::uint64_t number() const noexcept { return state().number(); }
    /// Bytes handed over, sent, received and discarded so far.
    [[nodiscard]] const byte_counts& bytes() const noexcept { return state().bytes(); }
    /// What its transport can do.
    [[nodiscard]] transport_traits traits() const noexcept { return state().traits(); }
    /// For calls of the application's own; closing it is the library's business. It is no place for
    /// TCP_ULP: reports would count what kTLS makes of the bytes, and may say too much.
    [[nodiscard]] int native_handle() const noexcept { return state().descriptor(); }
    [[nodiscard]] loop& on() const noexcept { return state().on(); }

protected:
    [[nodiscard]] connection& state() const noexcept {
        require(static_cast<bool>(to_), "a stream or socket was used after it was moved away");
        return *to_;
    }

    socket_handle() noexcept = default;
    explicit socket_handle(connection& connection) noexcept : to_(connection) {}
    socket_handle(socket_handle&& other) noexcept = default;
    socket_handle& operator=(socket_handle&& other) noexcept {
        if (this != &other) {
            drop();
            to_ = std::move(other.to_);
        }
        return *this;
    }
    ~socket_handle() { drop(); }

private:
    friend struct handle_access;

    void drop() noexcept {
        if (!to_) return;
        to_->abandon();
        to_ = {};
    }

    connection_ref to_;
};

/// A socket with a peer that both finish: what the endings of shutdown/ are for.
class connected_socket : public socket_handle {
public:
    /// Ends the sending direction: FIN follows everything already handed to a send.
    ///
    /// The peer can still send; keep reading until end of stream.
    /// Errors: `not_connected` when the peer has already reset, `operation_canceled` when a send
    /// before it was cut short, or taken out of the queue, so that no FIN was sent. Where that was
    /// before the call, the application may send the rest, and call again.
    /// Cancellation: ends the wait; a FIN that was asked for is not recalled.
    /// Source: shutdown(2), RFC 9293 section 3.6, IORING_OP_SHUTDOWN (Linux 5.11).
    task<result<void>> shutdown_send();

    /// Chooses what a destroyed handle does to an open connection; by default it aborts. A program
    /// that links net/ without shutdown/ always aborts.
    void on_drop(drop_action action,
                 std::chrono::nanoseconds within = std::chrono::seconds(30)) noexcept {
        state().when_dropped({action, within});
    }

    /// Chooses what the protocol says last, before FIN, whoever begins the ending: a verb, a drain,
    /// an idle time, a dropped handle that finishes. A task is said behind bytes, if both are
    /// given.
    ///
    /// It goes behind everything that was handed over, answers of a session included, and the
    /// deadline of the ending covers it; so what it says is in the report's counts. An ending that
    /// says no FIN says no farewell either: an abort, a release, one behind a send that was cut
    /// short. Nor does one whose FIN the application has sent itself, by `shutdown_send` or
    /// `send_last`. Called again, the new choice holds; empty bytes: none.
    ///
    /// The task runs on the loop when its time has come. It may send on this connection, although
    /// that is ending, and receives nothing. It must not wait for the end. An ending that becomes
    /// an abort, by its deadline or otherwise, cancels it, and does not wait for it. An exception
    /// that leaves it makes the ending an abort (cause `error`) and is thrown by the loop's run.
    /// So does an ending that begins while the loop does not run, where nothing can be said.
    /// @{
    void on_farewell(std::span<const std::byte> bytes);
    void on_farewell(task<void> say);
    /// @}

    /// Says that the peer has a goodbye of its own to say before FIN. Until it is called with
    /// false, because the goodbye was received, the peer's FIN comes too early: the report's cause
    /// is `truncated`, as for a process that dies. Receives answer `end_of_stream` all the same.
    void expect_goodbye(bool expected = true) noexcept { state().expect_goodbye(expected); }

protected:
    using socket_handle::socket_handle;
    connected_socket(connected_socket&& other) noexcept = default;
    connected_socket& operator=(connected_socket&& other) noexcept = default;
    ~connected_socket() = default;
};

} // namespace ringdown
