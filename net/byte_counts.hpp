#pragma once

#include <cstdint>

namespace ringdown {

/// What has gone over a connection so far.
struct byte_counts {
    std::uint64_t handed = 0;    ///< Bytes that were given to a send.
    std::uint64_t sent = 0;      ///< Of these, accepted by the kernel.
    std::uint64_t received = 0;  ///< Given to the application.
    std::uint64_t discarded = 0; ///< Received and dropped.
};

} // namespace ringdown
