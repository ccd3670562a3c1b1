#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include <sys/socket.h>

#include <ringdown/net/address.hpp>
#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/connection_operation.hpp>
#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/internal/awaitable_operation.hpp>
#include <ringdown/runtime/internal/waiting.hpp>

namespace ringdown {

/// One message, as it was received.
struct packet {
    std::size_t bytes = 0; ///< Received into the caller's buffer; 0 if the message was empty.
    std::size_t whole = 0; ///< Size of the message as it was sent.

    /// The buffer was too small; the rest of the message is gone.
    [[nodiscard]] bool cut() const noexcept { return whole > bytes; }
};

/// Lets `holds_message` tell an empty message on this SEQPACKET socket from the end of the stream.
///
/// Both are a receive of 0 bytes, but only a message has a time. Times are asked for by
/// SO_TIMESTAMP, also for messages that came before, and no room is given for them, so the kernel
/// marks each message's flags with MSG_CTRUNC. (SO_PASSCRED would do as well, but gives the socket
/// a name.) Source: socket(7), recvmsg(2); measured on Linux 6.18.
void mark_messages(system_calls& calls, int fd) noexcept;

/// What a receive of that result took from a SEQPACKET socket is a message, not the end.
constexpr bool holds_message(int result, const msghdr& received) noexcept {
    return result > 0 || (result == 0 && (received.msg_flags & MSG_CTRUNC));
}

/// Whether a message, be it an empty one, can be received from such a socket: 1 if so, 0 if not, or
/// the negated errno. Receives nothing; an error that is due is taken, as by any receive.
/// Source: recvmsg(2) with MSG_PEEK.
int look_for_message(system_calls& calls, int fd) noexcept;

/// Receives one message into the caller's buffer; what does not fit is dropped and counted.
///
/// Descriptors that a unix peer sends along are never taken.
/// Source: recvmsg(2) with MSG_TRUNC, IORING_OP_RECVMSG (Linux 5.3).
class message_receive : public connection_operation,
                        public waiting,
                        public awaitable_operation<message_receive> {
public:
    message_receive(connection& connection, std::span<std::byte> into) noexcept;

protected:
    message_receive(message_receive&&) noexcept = default;
    ~message_receive() = default;

    /// Where the sender's address goes.
    address* sender_ = nullptr;

    std::optional<packet> received_; ///< Absent on errors, of which the end of the stream is one.
    std::error_code error_;

private:
    friend awaitable_operation<message_receive>;

    bool begin();
    void answer_canceled() noexcept { error_ = canceled(); }
    void took(std::size_t whole) noexcept;
    void settled(completion what) noexcept override;
    void cancel(cancel_reason reason) noexcept override;

    std::span<std::byte> into_;
    iovec piece_{};
    msghdr message_{};
};

} // namespace ringdown
