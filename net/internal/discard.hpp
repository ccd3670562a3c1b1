#pragma once

#include <cstdint>
#include <memory>
#include <system_error>

#include <sys/socket.h>

#include <ringdown/net/internal/connection_follower.hpp>
#include <ringdown/net/internal/connection_operation.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

namespace ringdown {

/// Drops and counts what arrives on a connection whose application receives no more, up to a cap.
///
/// So the peer is never held up by a full window, its end is seen, and no unread data turns a
/// close into a reset. SHUT_RD would do none of this: Linux goes on queueing (and handing out)
/// what arrives, until the window is closed, and its close resets.
///
/// On an open connection it watches the changes; an ending drives it by `step`.
/// Source: MSG_TRUNC in tcp(7).
class discarder final : public pooled, public change_watcher, public connection_operation {
public:
    using time_point = loop::time_point;

    explicit discarder(connection& connection) noexcept;

    /// From now on so many bytes are dropped before the cap is passed; the largest number is none.
    void set_limit(std::uint64_t bytes_max) noexcept;
    /// What is dropped from now on does not count until it is called again with false: a peer to
    /// whom answers are owed may go on sending requests.
    void set_free(bool free) noexcept;

    /// Receives the next part, unless something older is still to be received.
    void step();
    /// Drops what has arrived, in place, for a close that must not meet unread bytes.
    void drop_now() noexcept;
    void stop() noexcept { stopped_ = true; }

    [[nodiscard]] bool over_limit() const noexcept { return !free_ && counted() > bytes_max_; }
    /// When something was last dropped.
    [[nodiscard]] time_point dropped_at() const noexcept { return dropped_at_; }
    /// Why it cannot go on, where that does not end the connection.
    [[nodiscard]] std::error_code error() const noexcept { return error_; }

    [[nodiscard]] bool ends_with_reset() const noexcept override { return true; }
    [[nodiscard]] at_ending when_ending() const noexcept override { return at_ending::keep; }

private:
    void look() noexcept override;
    void connection_ends() noexcept override {} // goes on as part of the ending
    void settled(completion what) noexcept override;
    void prepare(io_uring_sqe& sqe) noexcept;
    void count(std::uint64_t bytes) noexcept;
    [[nodiscard]] int receive_now() noexcept;
    void dropped(std::uint64_t bytes) noexcept;
    [[nodiscard]] std::uint64_t count_of_cap() const noexcept;
    [[nodiscard]] std::uint64_t counted() const noexcept;

    std::uint64_t counts_from_ = 0; // the count of all that was discarded then
    std::uint64_t bytes_max_ = 0;
    time_point dropped_at_{};
    std::error_code error_;
    std::unique_ptr<msghdr> message_; // what told of a packet, or of the end
    bool free_ = false;
    bool dropped_any_ = false;
    bool stopped_ = false;
};

} // namespace ringdown
