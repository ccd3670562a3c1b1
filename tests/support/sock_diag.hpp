#pragma once

#include <cstdint>
#include <vector>

#include <ringdown/net/internal/tcp_state.hpp>

namespace ringdown::testing {

/// A TCP socket of this process's network, as the kernel lists it: also those that no descriptor
/// holds any more.
struct kernel_socket {
    ringdown::tcp_state state = ringdown::tcp_state::unknown;
    std::uint16_t local = 0; ///< Ports.
    std::uint16_t remote = 0;
    std::uint32_t receive_queue = 0; ///< Bytes that nobody has read.
    std::uint32_t send_queue = 0;    ///< Bytes that nobody has acknowledged.
    bool orphan = false;             ///< No descriptor holds it.
};

/// Every IPv4 TCP connection between these two ports, by NETLINK_SOCK_DIAG: both of its sockets, if
/// both are here; none that listen or are only bound. Source: sock_diag(7).
std::vector<kernel_socket> kernel_sockets(std::uint16_t one, std::uint16_t other);

/// How many of these are in TIME_WAIT.
unsigned time_waits(std::uint16_t one, std::uint16_t other);

/// Whether any TCP connection is neither over nor in TIME_WAIT, over IPv4 or IPv6.
bool connections_are_open();

} // namespace ringdown::testing
