#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <ringdown/net/connection.hpp>
#include <ringdown/net/internal/step_operation.hpp>
#include <ringdown/net/unique_descriptor.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/runtime/internal/timer.hpp>
#include <ringdown/shutdown/ending/delivery_sample.hpp>
#include <ringdown/shutdown/ending/internal/verdict.hpp>
#include <ringdown/shutdown/ending/policy.hpp>
#include <ringdown/shutdown/ending/report.hpp>

namespace ringdown {

/// Ends one connection, from the request to its report.
///
/// The order never changes: seal, flush or cancel, join, sample, close or hand out. Every event
/// leads to `advance`, which looks at the phases of the connection and takes the next step that
/// they allow; no step depends on the order of events. Lifetime: the connection's state block owns
/// it.
class ending final : public pooled, public ending_driver, private timer {
public:
    /// Seals the connection and starts. A connection ends once: it has no ending yet.
    static ending& begin(connection& connection, const ending_request& request);

    /// The ending of a connection that has one.
    static ending& of(connection& ended) noexcept { return static_cast<ending&>(*ended.ending()); }

    /// Resets the connection now, unless its ending was decided already.
    void abort(teardown_cause why) noexcept;

    /// The application is done with what the ending allowed it: goes on to the end.
    void let_go() noexcept;

    /// Whether FIN was acknowledged by now, for those who look on; the kernel is asked, and nothing
    /// is noted. The ending itself learns it by the peer's FIN, or at its next look.
    [[nodiscard]] bool fin_is_acknowledged() const noexcept;

    /// Makes the deadline no later than this.
    void tighten(time_point deadline) noexcept;

    [[nodiscard]] bool done() const noexcept { return connection_.life() == life_phase::closed; }
    /// Once done.
    [[nodiscard]] const teardown_report& report() const noexcept { return report_; }

    /// The descriptor, once done, if the request leaves it; the first to ask gets it.
    [[nodiscard]] unique_descriptor take_descriptor() noexcept { return std::move(left_); }

    /// A task waits for the ending.
    void join() noexcept { ++tasks_; }
    /// A task that waited was cancelled; the last one takes the ending with it.
    void leave() noexcept {
        if (--tasks_ == 0) abort(teardown_cause::canceled);
    }

private:
    ending(connection& connection, const ending_request& request) noexcept;

    void changed() noexcept override { advance(); }
    const address& peer() const noexcept override { return report_.peer; }
    void expired() noexcept override;

    void start();
    void advance() noexcept;
    void observe(std::optional<time_point> at = {}) noexcept;
    void seal_receiving() noexcept;
    void step();
    [[nodiscard]] bool peer_finished() const noexcept;
    void step_sending();
    void step_discarding();
    void decide(const delivery_sample& sample) noexcept;
    void reset(const delivery_sample& sample) noexcept;
    [[nodiscard]] std::uint64_t unread_before_reset(const delivery_sample& sample) noexcept;
    [[nodiscard]] std::uint64_t unread() noexcept;
    void sample_before_reset() noexcept;
    void settle_gone() noexcept;
    void drop_late_bytes() noexcept;
    [[nodiscard]] bool may_hold_unread() const noexcept;
    [[nodiscard]] bool may_close() const noexcept;
    void close();
    void close_in_place();
    void forget_linger() noexcept;
    void finish();

    [[nodiscard]] bool receive_tells_first() const noexcept;
    void ask_peer_name();
    void know_peer_name() noexcept;
    void ask_queue();
    void watch_queue();
    void schedule(time_point now) noexcept;
    [[nodiscard]] std::chrono::nanoseconds idle_time() const noexcept;
    void look_for_acknowledgements(time_point now) noexcept;
    [[nodiscard]] bool waits_for_acknowledgement() const noexcept;

    void discard_settled(completion what) noexcept;
    void queue_settled(completion what) noexcept;
    void watch_settled(completion what) noexcept;
    void watch_for_loss();
    void loss_settled(completion what) noexcept;
    void close_settled(completion what) noexcept;

    [[nodiscard]] std::uint64_t discarded() const noexcept {
        return connection_.bytes().discarded - discarded_before_;
    }
    // While answers are owed, a client may go on sending requests, and nothing of that costs it the
    // answers; the limit is for what comes after them.
    [[nodiscard]] bool discards_freely() const noexcept {
        return connection_.allowed() == allowance::answers;
    }
    [[nodiscard]] std::uint64_t counted_discards() const noexcept {
        return discarded() - discarded_freely_;
    }
    [[nodiscard]] bool over_discard_limit() const noexcept {
        return !discards_freely() && counted_discards() > request_.policy.discard_bytes_max;
    }
    [[nodiscard]] bool releases() const noexcept { return request_.requested.releases(); }

    [[nodiscard]] ending_facts facts() const noexcept;
    void complete_report(const ending_facts& facts) noexcept;
    void name_peer() noexcept;

    connection& connection_;
    ending_request request_;
    time_point asked_at_;
    time_point deadline_;

    // What the peer is known to have let through, for the idle time.
    time_point progress_at_;
    std::optional<std::uint64_t> acknowledged_before_;

    step_operation<ending> discard_;
    msghdr discarded_message_{}; // what told of a packet, or of the end
    step_operation<ending> queue_;
    // For a FIN that is not acknowledged yet, and for a reset behind the peer's FIN: both rare.
    std::unique_ptr<step_operation<ending>> watch_;
    std::unique_ptr<step_operation<ending>> loss_;
    step_operation<ending> close_;
    bool queue_wanted_ = false;    // something happened since SIOCOUTQ was last asked
    bool crossed_ = false;         // the peer's FIN came before it had acknowledged ours
    bool resets_at_close_ = false; // the kernel has refused to reset while the socket is open
    bool reset_by_unread_ = false; // the close has met bytes that nobody had received

    // Absent while the ending may still take another turn.
    std::optional<delivery_sample> decided_;
    std::optional<teardown_cause> aborted_by_;
    int reset_refused_ = 0; // at the close as well: the errno
    std::error_code error_;
    teardown_report report_;
    unique_descriptor left_;
    std::uint32_t tasks_ = 0;
    std::uint64_t discarded_before_;     // the request
    std::uint64_t discarded_freely_ = 0; // since then, while answers were owed
};

} // namespace ringdown
