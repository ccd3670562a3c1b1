#pragma once

#include <optional>
#include <span>

#include <ringdown/net/internal/message_receive.hpp>
#include <ringdown/net/internal/send.hpp>
#include <ringdown/net/socket_handle.hpp>

namespace ringdown {

/// Receives one packet. Made by `packet_stream::recv`.
class [[nodiscard]] recv_packet_operation final : public message_receive {
public:
    using message_receive::message_receive;

    result<packet> await_resume() const noexcept {
        if (!received_) return std::unexpected(error_);
        return *received_;
    }
};

/// A connected unix SEQPACKET socket: messages that stay whole, in order, and an end.
///
/// One that is destroyed while its connection is open is aborted; end it with the verbs of
/// shutdown/, which treat it as they do a unix stream.
/// Threads: stays on its loop.
class packet_stream : public connected_socket {
public:
    packet_stream() noexcept = default;
    explicit packet_stream(connection& connection) noexcept : connected_socket(connection) {}
    /// Takes over a handle to a connection of this kind.
    explicit packet_stream(connected_socket&& socket) noexcept;

    /// Receives the next message into `into`; an empty one is a `packet` of 0 bytes.
    ///
    /// Of a message that is larger than `into` the rest is dropped; `packet::whole` tells how large
    /// it was. One receive at a time.
    /// Errors: `errc::end_of_stream` after the last message before the peer's end;
    /// `connection_reset` when the peer closed with messages of ours unread; those that it
    /// had sent can be received after that. (Where a single empty message was all it left unread,
    /// Linux 6.18 tells no reset.) `errc::ending` when the connection is being ended.
    /// Lifetime: `into` stays until the operation has ended.
    /// Cancellation: safe; a message that had arrived is returned, never dropped.
    /// Source: recvmsg(2), unix(7), IORING_OP_RECVMSG (Linux 5.3).
    [[nodiscard]] recv_packet_operation recv(std::span<std::byte> into) noexcept {
        return {state(), into};
    }

    /// Sends `message` whole, behind every send that was handed over before; it may be empty.
    ///
    /// Errors: as `stream::send`, and `message_size` for one larger than the socket's send buffer
    /// (SO_SNDBUF) allows. What waits behind a message that was not sent is refused with
    /// `operation_canceled`, because the stream must not go on after a gap.
    /// Lifetime: `message` stays until the operation has ended.
    /// Cancellation: safe; a message was either sent or not.
    /// Source: send(2), IORING_OP_SEND (Linux 5.6).
    [[nodiscard]] send_operation send(std::span<const std::byte> message) noexcept {
        return {state(), message, send_operation::form::packet};
    }
};

/// Takes over a connected SEQPACKET socket that the application made itself, and asks it for
/// timestamps (SO_TIMESTAMP), by which messages are known.
///
/// Errors: `not_a_socket`; `not_connected`, also where the peer has gone and left messages unread;
/// `protocol_not_supported` unless unix SEQPACKET.
/// On error the descriptor stays the caller's.
result<packet_stream> adopt_packets(loop& loop, int fd);

} // namespace ringdown
