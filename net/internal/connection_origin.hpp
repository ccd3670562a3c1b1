#pragma once

#include <cstdint>

#include <ringdown/net/address.hpp>
#include <ringdown/net/transport.hpp>

namespace ringdown {

/// What is known of a connection when its state block is made.
struct connection_origin {
    transport_traits traits = transports::tcp;
    address peer; ///< AF_UNSPEC where it is not known yet.
    bool ipv6 = false;
    /// What the kernel's count of acknowledged bytes stood at for a sent count of 0: SYN is
    /// counted for the side that connected.
    std::uint64_t acknowledged_before = 0;
};

} // namespace ringdown
