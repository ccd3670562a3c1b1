#pragma once

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/shutdown/ending/delivery_sample.hpp>

namespace ringdown {

/// Asks the kernel in place, by TCP_INFO (unix: SIOCOUTQ) and SO_ERROR; a reset or a loss that
/// SO_ERROR tells of is noted on the connection, since it tells only once.
///
/// Of a datagram socket nothing is known.
/// For endings that did not go well: one that did needs only the queue, which the ring answers.
delivery_sample take_sample(connection& connection) noexcept;

/// Whether an empty send queue (SIOCOUTQ), asked for from now on, means that everything has been
/// acknowledged. During a handshake, which TCP_FASTOPEN lets go on behind the accept, it does not.
bool queue_is_counted(connection& connection) noexcept;

} // namespace ringdown
