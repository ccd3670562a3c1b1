#pragma once

#include <chrono>
#include <optional>

#include <ringdown/shutdown/ending/policy.hpp>

namespace ringdown {

/// How long an ending waits for its peer: to the deadline, and while something of the peer's moves.
///
/// It knows times only: it asks nobody, and sets nothing off.
class patience {
public:
    using time_point = system_calls::time_point;

    /// The time counts from `asked_at`. While the application still has something to do, it is not
    /// the peer who is waited for, and no idle time passes.
    patience(const ending_policy& limits, time_point asked_at, bool waits_for_peer) noexcept;

    /// The peer is waited for from now on.
    void begin_to_wait(time_point now) noexcept;
    /// It is the application that has something to do, for now.
    void pause() noexcept { waits_for_peer_ = false; }
    /// Something has moved: received, acknowledged or read by the peer.
    void note_progress(time_point at) noexcept;
    /// Makes the deadline no later than this.
    void tighten(time_point deadline) noexcept;

    /// Which limit has passed, if one has.
    [[nodiscard]] std::optional<teardown_cause> over(time_point now) const noexcept;
    /// When the next limit passes, if nothing moves.
    [[nodiscard]] time_point next(time_point now) const noexcept;
    [[nodiscard]] time_point deadline() const noexcept { return deadline_; }
    /// Zero while there is none.
    [[nodiscard]] std::chrono::nanoseconds idle() const noexcept;

private:
    time_point deadline_;
    time_point progress_at_;
    std::chrono::nanoseconds idle_;
    bool waits_for_peer_;
};

} // namespace ringdown
