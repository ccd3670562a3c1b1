#pragma once

#include <chrono>
#include <cstdint>

namespace ringdown::testing {

/// True when this process has a network of its own, into which it moved before `main` began: then
/// the kernel's counters tell of its connections alone.
bool has_own_network() noexcept;

/// Why it has not, for a visible skip.
const char* own_network_refused() noexcept;

/// The kernel's counters of TCP in this process's network.
struct wire_counters {
    std::uint64_t resets_sent = 0;        ///< OutRsts, by either side.
    std::uint64_t established_resets = 0; ///< EstabResets
    std::uint64_t abort_on_data = 0;      ///< TCPAbortOnData: linger {1, 0}
    std::uint64_t abort_on_close = 0;     ///< TCPAbortOnClose: unread data at a close
    std::uint64_t segments_sent = 0;      ///< OutSegs
    std::uint64_t retransmitted = 0;      ///< RetransSegs

    wire_counters operator-(const wire_counters& earlier) const noexcept;
};
wire_counters count_wire();

/// Sockets that the network holds, for both IP versions: those of a descriptor and orphans.
struct wire_sockets {
    unsigned open = 0; ///< In any state but these two.
    unsigned time_wait = 0;
    unsigned listening = 0;
};
wire_sockets count_sockets();
/// Of these, sockets that have this port on either side.
wire_sockets count_sockets(std::uint16_t port);

/// Waits until nothing is open but what listens; false if something still is.
bool wire_is_quiet(std::chrono::milliseconds patience);

} // namespace ringdown::testing
