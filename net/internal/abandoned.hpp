#pragma once

#include <cstdint>

namespace ringdown {

class connection;

/// Why a connection is left to its loop.
enum class abandonment : std::uint8_t {
    dropped,       ///< Its stream was destroyed.
    canceled,      ///< Its scope was cancelled, or its loop ends.
    discard_limit, ///< Its peer sent more than `shutdown_receive` was to drop.
};

/// Ends a connection that nobody will end otherwise.
using abandoned_ending = void (*)(connection& left, abandonment why) noexcept;

/// How that is done in this process. Without anything above net/ such a connection is reset, and
/// nobody is told; shutdown/ puts its own in this place, which reports, before main begins.
extern abandoned_ending end_abandoned;

} // namespace ringdown
