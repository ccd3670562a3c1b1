#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <ringdown/net/internal/send.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

namespace ringdown {

/// Holds the bytes of an `unawaited_send`, which must be there before it.
struct owned_bytes {
    std::vector<std::byte> bytes;
};

/// A send that nobody waits for: what the library itself says on a connection, also on one that is
/// sealed. What becomes of it the connection's counts tell.
class unawaited_send final : public pooled, private owned_bytes, public send_operation {
public:
    unawaited_send(connection& connection, std::vector<std::byte> said)
        : owned_bytes{std::move(said)}, send_operation(connection, bytes, form::plain) {}

    /// Hands it over, behind every send before.
    void begin() { enqueue(); }
    using send_operation::failed;
};

} // namespace ringdown
