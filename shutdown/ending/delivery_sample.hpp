#pragma once

#include <cstdint>

#include <ringdown/net/socket_handle.hpp>

namespace ringdown {

/// What the kernel knew of a connection at one moment, from which its report is made.
struct delivery_sample {
    bool taken = false;
    std::uint64_t acknowledged = 0; ///< TCP: payload, and one more for FIN, since the beginning.
    std::uint64_t received = 0;     ///< TCP: in order from the peer; its FIN counts as one.
    std::uint64_t queued = 0;       ///< Unix: memory that the peer has not read yet.
    std::uint32_t acknowledgement_age_ms = 0; ///< TCP: since anything was acknowledged.
    bool reset_on_abort = false; ///< TCP: the state is one in which an abort sends RST.
    bool gone = false;           ///< TCP: there is no connection any more.
    bool peer_finished = false;  ///< TCP: its FIN has arrived, whether or not it was read.
};

/// Asks the kernel in place what has become of what was sent, by TCP_INFO (unix: SIOCOUTQ).
///
/// Nothing is taken where the connection is closed, nor of a datagram socket.
/// A reset or a loss that the kernel tells of on this occasion is noted, since it tells only once.
[[nodiscard]] delivery_sample take_sample(connected_socket& asked) noexcept;

} // namespace ringdown
