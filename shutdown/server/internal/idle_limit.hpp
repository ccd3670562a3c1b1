#pragma once

#include <chrono>
#include <cstdint>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/runtime/internal/timer.hpp>
#include <ringdown/shutdown/ending/policy.hpp>
#include <ringdown/shutdown/server/internal/handler_mark.hpp>

namespace ringdown {

/// Ends an open connection on which nothing has moved for a time.
///
/// What moves is a byte that was received, accepted by the kernel, acknowledged, or read (unix).
/// An idle connection, whose handler marked it so or on which nothing was sent either way, is ended
/// as its server wishes. Any other stands still in the middle of a request or an answer and is
/// reset, because FIN would make half an answer look whole. The cause is `idle` in either case.
/// While requests are in progress no time passes.
class idle_limit final : public pooled, private timer {
public:
    /// The time counts from now on; the mark and `when_idle` outlive this.
    idle_limit(connection& watched, const handler_mark& mark, const ending_request& when_idle,
               std::chrono::nanoseconds time);

private:
    void expired() noexcept override;
    void look_again();
    [[nodiscard]] bool moved() noexcept;
    [[nodiscard]] bool arrives() noexcept;
    [[nodiscard]] bool is_idle() noexcept;
    void end();

    connection& watched_;
    const handler_mark& mark_;
    const ending_request& when_idle_;
    std::chrono::nanoseconds time_;
    time_point moved_at_;
    std::uint64_t acknowledged_ = 0; // when the kernel was last asked
    // Of the count of all bytes that moved, the low half: enough to see that it has changed.
    std::uint32_t through_ = 0;
    int unread_ = 0; // in the kernel, when it was last asked
};

} // namespace ringdown
