#pragma once

#include <cstdint>
#include <span>

namespace rpc {

/// Reads what the strings, binaries and extensions of a message announce, before they are there;
/// the parser tells of each only when all of it has arrived.
class lengths {
public:
    /// Reads on in a message, of which this much has arrived and more is to come. Answers how many
    /// bytes it has at the least.
    std::uint64_t at_least(std::span<const char> message) noexcept;
    /// For the next message.
    void reset() noexcept { next_ = 0; }

private:
    std::uint64_t next_ = 0; // where the next value begins, arrived or not
};

} // namespace rpc
