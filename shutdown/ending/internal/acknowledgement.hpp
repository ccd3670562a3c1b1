#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/step_operation.hpp>

namespace ringdown {

/// Learns whether the peer's kernel has acknowledged FIN, and with it everything before.
///
/// The send queue answers when it is asked: after everything that may have changed it, when a poll
/// says that it has emptied, and at looks that the ending takes from time to time, since an
/// acknowledgement alone tells us nothing. What it learns it enters into the connection's sending
/// phase.
class acknowledgement {
public:
    using time_point = loop::time_point;

    explicit acknowledgement(connection& connection) noexcept;

    /// Something has happened since the queue was last asked.
    void note_change() noexcept { wanted_ = true; }
    /// Asks the queue, if there is anything new to ask. Most peers answer FIN by their own: as long
    /// as a receive in flight tells of that, or of a reset, the queue is left alone until the first
    /// look; asked then, it answers for both.
    void step(bool receive_tells);
    /// Asks how far the peer has come.
    void look(time_point now) noexcept;
    /// When to look next, where the peer may stand still for `idle`; zero: for ever.
    [[nodiscard]] time_point next_look(time_point now, std::chrono::nanoseconds idle) const;
    /// What is learnt from now on is nobody's business.
    void stop() noexcept { stopped_ = true; }

    [[nodiscard]] bool awaited() const noexcept {
        return connection_.sending() < sending_phase::fin_acknowledged;
    }
    /// When the peer was last seen to let anything through.
    [[nodiscard]] time_point moved_at() const noexcept { return moved_at_; }
    /// The peer's FIN came before it had acknowledged ours.
    [[nodiscard]] bool fins_crossed() const noexcept { return crossed_; }

private:
    void ask();
    void watch();
    void answered(completion what) noexcept;
    void refused() noexcept;
    void watch_answered(completion what) noexcept;
    void note_through(std::uint64_t through, time_point at) noexcept;

    connection& connection_;
    step_operation<acknowledgement> queue_;
    std::unique_ptr<step_operation<acknowledgement>> watch_; // few wait longer than one answer
    std::optional<std::uint64_t> through_; // bytes that the peer had let through at the last look
    time_point moved_at_{};
    bool wanted_ = false;
    bool crossed_ = false;
    bool stopped_ = false;
};

/// Whether FIN was acknowledged by now, for those who look on; the kernel is asked, and nothing is
/// noted.
[[nodiscard]] bool fin_is_acknowledged(connection& connection) noexcept;

} // namespace ringdown
