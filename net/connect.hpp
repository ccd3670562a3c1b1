#pragma once

#include <optional>

#include <ringdown/net/address.hpp>
#include <ringdown/net/packet_stream.hpp>
#include <ringdown/net/stream.hpp>

namespace ringdown {

struct connect_options {
    bool no_delay = true;                     ///< TCP_NODELAY.
    std::optional<loop::time_point> deadline; ///< Absent: the kernel's own, about two minutes.
    std::optional<address> from;              ///< The local address to bind first.
};

/// Connects to `to`, over TCP or a unix stream socket.
///
/// Errors: `connection_refused`, `network_unreachable`, `timed_out` (the kernel gave up),
/// `errc::deadline_passed`, `operation_canceled`, those of socket(2) and bind(2).
/// Cancellation: safe; the half-made connection is given up.
/// Source: connect(2), IORING_OP_CONNECT (Linux 5.5).
task<result<stream>> connect(loop& on, address to, connect_options options = {});

/// Connects to `to`, a unix address where a SEQPACKET socket listens.
///
/// Errors: as `connect`; `address_family_not_supported` for other addresses, `wrong_protocol_type`
/// where a stream socket listens at that path (by an abstract name, `connection_refused`).
/// Cancellation: as `connect`. Source: unix(7), SOCK_SEQPACKET.
task<result<packet_stream>> connect_packets(loop& on, address to, connect_options options = {});

} // namespace ringdown
