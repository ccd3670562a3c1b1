#pragma once

#include <cstdint>
#include <vector>

#include <ringdown/net/tcp_state.hpp>

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

/// Every IPv4 TCP connection that has this port on either side, by NETLINK_SOCK_DIAG: no sockets
/// that listen or are only bound. Source: sock_diag(7).
std::vector<kernel_socket> kernel_sockets(std::uint16_t port);

/// How many of these are in TIME_WAIT.
unsigned time_waits(std::uint16_t port);

} // namespace ringdown::testing
