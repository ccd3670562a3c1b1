#pragma once

#include <cstdint>

#include "provided_buffers.hpp"
#include "support.hpp"

namespace servers {

/// What a completion of the hand-written liburing server belongs to.
enum class event : std::uint8_t { accepted, received, sent, discarded, stop, closed };

/// The state of one connection.
struct client {
    enum class phase : std::uint8_t {
        closed,
        serving,   ///< Requests are answered.
        finishing, ///< FIN was sent; the peer's is waited for.
        flooding,  ///< `cancel`: more is being sent than the peer takes.
    };
    phase now = phase::closed;
    bool receiving = false; // in flight; it would hold back the FIN or RST of a close
    bool sending = false;
    bool peer_ended = false;
    std::uint32_t have = 0; // of the request; `flooding`: of what comes behind it
    std::uint32_t sent = 0; // of the first buffer in `queued`
    char request[request_bytes];
    buffer_queue queued; // echo: to be sent, in order
};

} // namespace servers
