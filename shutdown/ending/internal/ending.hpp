#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/unawaited_send.hpp>
#include <ringdown/net/unique_descriptor.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/runtime/internal/timer.hpp>
#include <ringdown/shutdown/ending/delivery_sample.hpp>
#include <ringdown/shutdown/ending/internal/acknowledgement.hpp>
#include <ringdown/shutdown/ending/internal/closing.hpp>
#include <ringdown/shutdown/ending/internal/farewell_task.hpp>
#include <ringdown/shutdown/ending/internal/patience.hpp>
#include <ringdown/shutdown/ending/internal/verdict.hpp>
#include <ringdown/shutdown/ending/policy.hpp>
#include <ringdown/shutdown/ending/report.hpp>

namespace ringdown {

/// Ends one connection, from the request to its report.
///
/// The order never changes: seal, say farewell, flush or cancel, join, sample, close or hand out.
/// Every event leads to `advance`, which looks at the phases of the connection and takes the next
/// step that they allow; no step depends on the order of events.
///
/// Each of its parts does one thing and knows nothing of the others: `patience` how long it waits,
/// the connection's `discarder` what is dropped, `acknowledgement` whether FIN has arrived,
/// `closing` how the descriptor goes, and `judge` what the report concludes.
/// Lifetime: the connection's state block owns it.
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

    /// The task that said the farewell has ended.
    void farewell_said(bool failed) noexcept;

    /// Makes the deadline no later than this.
    void tighten(time_point deadline) noexcept;

    /// The report of a connection that is closed; null before.
    [[nodiscard]] static const teardown_report* report_of(connection& ended) noexcept {
        return ended.life() == life_phase::closed ? &of(ended).report_ : nullptr;
    }

    /// The descriptor, once closed, if the plan hands it out; the first to ask gets it.
    [[nodiscard]] unique_descriptor take_descriptor() noexcept {
        return closing_.take_descriptor();
    }

    /// A task waits for the ending.
    void join() noexcept { ++tasks_; }
    /// A task that waited was cancelled; the last one takes the ending with it.
    void leave() noexcept {
        if (--tasks_ == 0) abort(teardown_cause::canceled);
    }

private:
    ending(connection& connection, const ending_request& request) noexcept;

    void changed() noexcept override { advance(); }
    void expired() noexcept override;

    void start();
    void seal_receiving() noexcept;
    void say_fin() noexcept;
    void advance() noexcept;
    void observe(time_point at) noexcept;
    void schedule(time_point now) noexcept;

    void step();
    void step_discarding();
    void step_sending();
    void step_watching();
    [[nodiscard]] bool peer_finished() const noexcept;
    [[nodiscard]] bool over_discard_limit() const noexcept;
    void decide(const delivery_sample& sample) noexcept;

    void reset(const delivery_sample& sample) noexcept;
    [[nodiscard]] std::uint64_t unread_before_reset(const delivery_sample& sample) noexcept;
    void sample_before_reset() noexcept;

    void close();
    void settle_gone() noexcept;
    [[nodiscard]] bool closes() const noexcept;
    [[nodiscard]] bool peer_may_send() const noexcept;
    [[nodiscard]] bool may_hold_unread() const noexcept;
    [[nodiscard]] bool close_behind_late_bytes() noexcept;
    void finish();

    [[nodiscard]] bool releases() const noexcept { return request_.requested.releases(); }
    [[nodiscard]] std::error_code error() const noexcept;
    [[nodiscard]] ending_facts facts() const noexcept;
    void complete_report(const ending_facts& facts) noexcept;

    connection& connection_;
    ending_request request_;
    time_point asked_at_;
    patience patience_;
    acknowledgement acknowledgement_;
    std::unique_ptr<unawaited_send> last_bytes_; // of the farewell
    farewell_task farewell_;
    closing closing_;

    // Absent while the ending may still take another turn.
    std::optional<delivery_sample> decided_;
    std::optional<teardown_cause> aborted_by_;
    std::error_code fin_error_;
    teardown_report report_;
    std::uint32_t tasks_ = 0;
};

} // namespace ringdown
