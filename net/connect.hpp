#pragma once

#include <optional>

#include <ringdown/net/address.hpp>
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

} // namespace ringdown
