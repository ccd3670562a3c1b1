#pragma once

#include <cstdint>

namespace ringdown {

class system_calls;

/// The states of RFC 9293 as TCP_INFO numbers them (include/net/tcp_states.h).
enum class tcp_state : std::uint8_t {
    unknown = 0,
    established = 1,
    syn_sent = 2,
    syn_received = 3,
    fin_wait_1 = 4,
    fin_wait_2 = 5,
    time_wait = 6,
    closed = 7,
    close_wait = 8,
    last_ack = 9,
    listening = 10,
    closing = 11,
};

/// What TCP_INFO tells and an ending needs.
struct tcp_snapshot {
    tcp_state state = tcp_state::unknown;     ///< `unknown` when the kernel did not answer.
    std::uint64_t acknowledged_bytes = 0;     ///< SYN and FIN count as one each.
    std::uint64_t received_bytes = 0;         ///< In order; FIN counts as one, SYN does not.
    std::uint32_t unsent_bytes = 0;           ///< Accepted and never put on the wire.
    std::uint32_t acknowledgement_age_ms = 0; ///< Since the last acknowledgement of any kind.
    std::uint32_t round_trip_us = 0;          ///< Smoothed.
    std::uint64_t payload_bytes = 0;          ///< Put on the wire, and what was sent again as well.
    std::uint64_t repeated_bytes = 0;         ///< Of these, sent again.

    /// True when there is no connection any more.
    [[nodiscard]] bool gone() const noexcept {
        return state == tcp_state::closed || state == tcp_state::time_wait;
    }
    /// True when the peer's FIN has arrived on a connection that there still is.
    [[nodiscard]] bool peer_finished() const noexcept {
        return state == tcp_state::close_wait || state == tcp_state::last_ack ||
               state == tcp_state::closing;
    }
    /// True when our FIN is among what is outstanding or acknowledged, of such a connection.
    [[nodiscard]] bool finished() const noexcept {
        return state == tcp_state::fin_wait_1 || state == tcp_state::fin_wait_2 ||
               state == tcp_state::last_ack || state == tcp_state::closing;
    }
    /// True while SIOCOUTQ and SIOCINQ count what is queued. During a handshake both answer 0,
    /// and TCP_FASTOPEN has connections accepted, and their bytes sent, before it is done.
    [[nodiscard]] bool counts_queues() const noexcept {
        return state != tcp_state::unknown && state != tcp_state::syn_sent &&
               state != tcp_state::syn_received;
    }
};

tcp_snapshot tcp_info_of(system_calls& calls, int fd) noexcept;

/// True when another protocol lies over the socket's TCP (TCP_ULP), as kTLS does: then the kernel
/// counts what that one sends.
bool has_upper_protocol(system_calls& calls, int fd) noexcept;

/// Reads SO_ERROR, which the kernel tells once: an errno, or 0.
int socket_error_of(system_calls& calls, int fd) noexcept;

} // namespace ringdown
