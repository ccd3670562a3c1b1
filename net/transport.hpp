#pragma once

namespace ringdown {

/// What a transport can do, as far as anything above it asks: a row of facts.
///
/// Nobody compares transports. Whoever depends on one asks for the fact that it depends on, so that
/// another transport is another row.
struct transport_traits {
    /// Two sides are connected, and either can end that. Without, nothing that happens to the
    /// socket ends it but its close, and an empty message is no end.
    bool has_peer : 1 = false;
    /// TCP_INFO tells the state of the connection, the bytes that were received, and how many of
    /// those sent the peer's kernel has acknowledged. Without, a send queue that is empty tells it,
    /// unless the peer is gone, which empties the queue as well.
    bool counts_acknowledgements : 1 = false;
    /// poll(2) tells when the last byte was acknowledged, or is lost. Without, a timer asks.
    bool tells_by_poll : 1 = false;
    /// connect(2) with AF_UNSPEC sends RST at once, which also ends the operations in flight.
    /// Without, they are cancelled one by one, and the close tells the peer.
    bool resets_on_demand : 1 = false;
    /// MSG_TRUNC without a buffer drops what was received without a copy.
    bool drops_uncopied : 1 = false;
    /// A receive says whether more waits behind what it took (IORING_CQE_F_SOCK_NONEMPTY).
    bool tells_of_more : 1 = false;
    bool keeps_messages : 1 = false;  ///< What one send gave, one receive takes.
    bool has_names : 1 = false;       ///< Peers have addresses of their own.
    bool has_handshake : 1 = false;   ///< Newcomers are under way before they can be accepted.
    bool sends_zero_copy : 1 = false; ///< Where the kernel has the operation.

    friend bool operator==(const transport_traits&, const transport_traits&) = default;
};

namespace transports {

inline constexpr transport_traits tcp{
    .has_peer = true,
    .counts_acknowledgements = true,
    .tells_by_poll = true,
    .resets_on_demand = true,
    .drops_uncopied = true,
    .tells_of_more = true,
    .has_names = true,
    .has_handshake = true,
    .sends_zero_copy = true,
};
inline constexpr transport_traits unix_stream{.has_peer = true};
/// SEQPACKET: a connection like a unix stream's, whose messages stay whole.
inline constexpr transport_traits unix_packets{.has_peer = true, .keeps_messages = true};
/// UDP.
inline constexpr transport_traits datagrams{.keeps_messages = true, .has_names = true};

} // namespace transports
} // namespace ringdown
