#pragma once

#include <cstdint>

#include <ringdown/net/connection.hpp>
#include <ringdown/net/internal/connection_operation.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

namespace ringdown {

/// The most that one receive drops, so that a peer which never pauses does not keep the loop.
inline constexpr std::uint64_t discard_at_once = 1 << 20;

/// Prepares a receive that drops what has arrived, without copying it where the socket can: as
/// much as may still be dropped and one byte more, so that the limit shows, but only so much at a
/// time. Source: MSG_TRUNC in tcp(7).
void prepare_discard(io_uring_sqe& sqe, connection& connection, std::uint64_t allowed) noexcept;

/// Drops and counts what arrives on an open connection whose application receives no more.
///
/// So the peer is never held up by a full window, its end is seen, and no unread data turns a
/// close into a reset. SHUT_RD would do none of this: Linux goes on queueing (and handing out)
/// what arrives, until the window is closed, and its close resets.
class discarder final : public pooled, public connection_watcher, public connection_operation {
public:
    discarder(connection& connection, std::uint64_t bytes_max) noexcept;

    void set_limit(std::uint64_t bytes_max) noexcept { bytes_max_ = bytes_max; }
    void look() noexcept override;

    [[nodiscard]] bool ends_with_reset() const noexcept override { return true; }

private:
    void connection_ends() noexcept override {} // goes on with a receive of its own
    void settled(completion what) noexcept override;

    std::uint64_t discarded_before_;
    std::uint64_t bytes_max_;
};

} // namespace ringdown
