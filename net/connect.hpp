#pragma once

#include <optional>

#include <ringdown/net/address.hpp>
#include <ringdown/net/packet_stream.hpp>
#include <ringdown/net/stream.hpp>
#include <ringdown/net/unique_descriptor.hpp>

namespace ringdown {

struct connect_options {
    bool no_delay = true;                       ///< TCP_NODELAY.
    std::optional<loop::time_point> deadline{}; ///< Absent: the kernel's own, about two minutes.
    std::optional<address> from{};              ///< The local address to bind first.
};

/// Connects to `to`, over TCP or a unix stream socket.
///
/// Where a unix socket's queue is full it waits for room: it tries again after 1 to 10 ms, because
/// nothing tells of it.
/// Errors: `connection_refused`, `network_unreachable`, `timed_out` (the kernel gave up),
/// `errc::deadline_passed`, `operation_canceled`, those of socket(2) and bind(2).
/// Cancellation: safe; the half-made connection is given up.
/// Source: connect(2), IORING_OP_CONNECT (Linux 5.5).
task<result<stream>> connect(loop& loop, address to, connect_options options = {});

/// Connects to `to`, a unix address where a SEQPACKET socket listens.
///
/// Errors: as `connect`; `address_family_not_supported` for other addresses, `wrong_protocol_type`
/// where a stream socket listens at that path (by an abstract name, `connection_refused`).
/// Cancellation: as `connect`. Source: unix(7), SOCK_SEQPACKET.
task<result<packet_stream>> connect_packets(loop& loop, address to, connect_options options = {});

/// Connects once more with a socket whose connection has ended: one that `abort_disconnect`,
/// `disconnect` or `release` handed out, or one that was never connected.
///
/// It keeps its descriptor number, its options but for TCP_FASTOPEN_CONNECT, and its local port if
/// that was bound by number. Errors: as above, and `already_connected` while a connection is still
/// open; `address_not_available` while the same pair of addresses is in TIME_WAIT and the peer used
/// no TCP timestamps. On error the descriptor is closed. Unix sockets cannot connect twice
/// (`already_connected`). Source: connect(2) with AF_UNSPEC.
task<result<stream>> connect(loop& loop, unique_descriptor again, address to,
                             connect_options options = {});

} // namespace ringdown
