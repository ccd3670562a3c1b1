#pragma once

#include <cstdint>

#include <ringdown/net/connection.hpp>

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

/// Asks the kernel in place, by TCP_INFO (unix: SIOCOUTQ) and SO_ERROR; a reset or a loss that
/// SO_ERROR tells of is noted on the connection, since it tells only once.
///
/// Of a datagram socket nothing is known.
/// For endings that did not go well: one that did needs only the queue, which the ring answers.
delivery_sample take_sample(connection& connection) noexcept;

/// Whether an empty send queue (SIOCOUTQ), asked for from now on, means that everything has been
/// acknowledged. During a handshake, which TCP_FASTOPEN lets go on behind the accept, it does not.
bool queue_is_counted(connection& connection) noexcept;

/// After a poll has told of an error: true once the connection knows which.
///
/// The kernel tells it once, and may have told it to an operation whose completion is still on its
/// way; ask again when that has come.
bool error_is_known(connection& connection) noexcept;

} // namespace ringdown
