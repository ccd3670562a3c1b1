#pragma once

#include <optional>
#include <span>
#include <utility>

#include <ringdown/net/internal/message_receive.hpp>
#include <ringdown/net/internal/send.hpp>
#include <ringdown/net/socket_handle.hpp>
#include <ringdown/runtime/internal/awaitable_operation.hpp>

namespace ringdown {

/// One datagram, as it was received, and who sent it.
struct datagram : packet {
    address sender;
};

/// Receives one datagram, whoever sent it. Made by `datagram_socket::recv`.
class [[nodiscard]] recv_datagram_operation final : public message_receive {
public:
    using message_receive::message_receive;

    result<packet> await_resume() const noexcept {
        if (!received_) return std::unexpected(error_);
        return *received_;
    }
};

/// Receives one datagram and its sender's address. Made by `datagram_socket::recv_from`.
class [[nodiscard]] recv_from_operation final : public message_receive {
public:
    recv_from_operation(connection& connection, std::span<std::byte> into) noexcept
        : message_receive(connection, into) {
        sender_ = &sender_address_;
    }
    recv_from_operation(recv_from_operation&& other) noexcept : message_receive(std::move(other)) {
        sender_ = &sender_address_;
    }

    result<datagram> await_resume() const noexcept {
        if (!received_) return std::unexpected(error_);
        return datagram{*received_, sender_address_};
    }

private:
    address sender_address_;
};

/// Sends one datagram. Made by `datagram_socket::send` and `send_to`.
class [[nodiscard]] send_datagram_operation final
    : public connection_operation,
      public waiting,
      public awaitable_operation<send_datagram_operation> {
public:
    send_datagram_operation(connection& connection, std::span<const std::byte> data,
                            std::optional<address> to = {}) noexcept;

    sent await_resume() const noexcept { return outcome_; }

private:
    friend awaitable_operation<send_datagram_operation>;

    bool begin();
    void answer_canceled() noexcept { outcome_.error = canceled(); }
    void settled(completion what) noexcept override;
    void cancel(cancel_reason reason) noexcept override;

    std::optional<address> to_;
    iovec piece_;
    msghdr message_{};
    sent outcome_;
};

/// A UDP socket: datagrams without a connection, of which each arrives or not.
///
/// There is no end of stream, the peer's or ours, and no reset; an error belongs to a datagram and
/// never ends the socket. End it with `close` of shutdown/; one that is destroyed is closed by its
/// loop. Both are reported.
/// Threads: stays on its loop.
class datagram_socket : public socket_handle {
public:
    datagram_socket() noexcept = default;
    explicit datagram_socket(connection& connection) noexcept : socket_handle(connection) {}

    /// Receives the next datagram into `into`; an empty one is a `packet` of 0 bytes.
    ///
    /// Of one that is larger than `into` the rest is dropped; `packet::whole` tells how large it
    /// was. A connected socket receives from its peer alone. One receive at a time.
    /// Errors: `connection_refused` and the like (connected sockets): what ICMP answered to some
    /// datagram sent before; it is told once, and the next receive goes on. `errc::ending` and
    /// `operation_canceled` when the socket is being closed.
    /// Lifetime: `into` stays until the operation has ended.
    /// Cancellation: safe; a datagram that had arrived is returned, never dropped.
    /// Source: recvmsg(2), udp(7), IORING_OP_RECVMSG (Linux 5.3).
    [[nodiscard]] recv_datagram_operation recv(std::span<std::byte> into) noexcept {
        return {state(), into};
    }

    /// As `recv`, and tells who sent it.
    [[nodiscard]] recv_from_operation recv_from(std::span<std::byte> into) noexcept {
        return {state(), into};
    }

    /// Sends `data` to the peer as one datagram, which may be empty.
    ///
    /// Answers when the kernel has accepted it, which says nothing about its arrival.
    /// Errors: `destination_address_required` when the socket is not connected; `message_size`
    /// beyond 65,507 bytes (IPv6: 65,527); `connection_refused` and the like, which ICMP answered
    /// to one sent *before*: told once, and this one was not sent; `network_unreachable`;
    /// `errc::ending`, `operation_canceled`. None ends the socket.
    /// Lifetime: `data` stays until the operation has ended.
    /// Cancellation: safe; a datagram was either sent or not.
    /// Source: sendmsg(2), udp(7), IORING_OP_SENDMSG (Linux 5.3).
    [[nodiscard]] send_datagram_operation send(std::span<const std::byte> data) noexcept {
        return {state(), data};
    }

    /// Sends `data` to `to`, also on a connected socket. Errors, cancellation: as `send`.
    [[nodiscard]] send_datagram_operation send_to(std::span<const std::byte> data,
                                                  const address& to) noexcept {
        return {state(), data, to};
    }
};

struct datagram_options {
    /// Where to bind; a port of 0 lets the kernel pick one. Absent: bound by the first send.
    std::optional<address> local{};
    /// The peer to connect to. Absent: anyone may send, and `send_to` names the receiver.
    std::optional<address> peer{};
    bool reuse_address = false; ///< SO_REUSEADDR.
    bool reuse_port = false;    ///< SO_REUSEPORT: several sockets share the datagrams of a port.
};

/// Makes a UDP socket, IPv4 or IPv6 as its addresses are; IPv4 if there are none.
///
/// Errors: `address_in_use` and others of socket(2), bind(2) and connect(2);
/// `address_family_not_supported` unless the addresses are of one IP family.
/// Source: udp(7).
result<datagram_socket> open_datagrams(loop& loop, const datagram_options& options = {});

/// Takes over a UDP socket that the application made itself, connected or not.
///
/// The descriptor is switched to blocking mode, which the ring wants.
/// Errors: `not_a_socket`, `protocol_not_supported` unless UDP. On error the descriptor stays the
/// caller's.
result<datagram_socket> adopt_datagrams(loop& loop, int fd);

} // namespace ringdown
