#pragma once

#include <ringdown/net/address.hpp>

namespace ringdown {

/// A peer's address, in as much memory as it takes; none before it is known.
///
/// An `address` has room for the longest, and a server has one for each connection.
class peer_record {
public:
    peer_record() noexcept = default;
    peer_record(const peer_record&) = delete;
    peer_record& operator=(const peer_record&) = delete;
    ~peer_record() { forget(); }

    explicit operator bool() const noexcept { return kept_ != nullptr; }
    void set(const address& known) noexcept;
    /// Room for a name of that size, which somebody fills in; until then it is AF_UNSPEC.
    [[nodiscard]] sockaddr* room_for(socklen_t bytes) noexcept;
    /// AF_UNSPEC before it is known.
    [[nodiscard]] address get() const noexcept;

private:
    struct block;

    void forget() noexcept;

    block* kept_ = nullptr;
};

} // namespace ringdown
