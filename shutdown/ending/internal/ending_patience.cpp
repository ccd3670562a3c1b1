#include <ringdown/shutdown/ending/internal/ending.hpp>

#include <algorithm>
#include <utility>

#include <ringdown/shutdown/ending/internal/looks.hpp>

// How long an ending waits: its deadline, and the idle time since the peer last let anything
// through.

namespace ringdown {

using namespace std::chrono_literals;

namespace {

// When a peer has not answered FIN by then, we begin to ask what it has acknowledged, because its
// acknowledgement alone tells us nothing.
constexpr auto first_look = 100ms;

} // namespace

void ending::tighten(time_point deadline) noexcept {
    deadline_ = std::min(deadline_, deadline);
    if (!decided_) schedule(connection_.on().seen_at());
}

bool ending::waits_for_acknowledgement() const noexcept {
    return connection_.sending() < sending_phase::fin_acknowledged;
}

// While the application still has something to do, the peer is not the one who is waited for.
std::chrono::nanoseconds ending::idle_time() const noexcept {
    return connection_.allowed() == allowance::nothing ? request_.policy.idle : 0ns;
}

void ending::schedule(time_point now) noexcept {
    const auto idle = idle_time();
    time_point next = deadline_;
    if (idle > 0ns) {
        // Acknowledgements have no event of their own, so while some are due they are looked for
        // several times within the idle time.
        const auto look = std::max<std::chrono::nanoseconds>(idle / 16, 1ms);
        next = std::min(next, later(progress_at_, idle));
        if (waits_for_acknowledgement()) next = std::min(next, together(later(now, look), look));
        next = std::max(next, now + 100us);
    }
    if (waits_for_acknowledgement() && !acknowledged_before_)
        next = std::min(next, together(now + first_look, first_look / 4));
    if (!connection_.traits().tells_by_poll && waits_for_acknowledgement())
        next = std::min(next, now + 2ms);
    set(std::min(next, deadline_));
}

void ending::look_for_acknowledgements(time_point now) noexcept {
    const delivery_sample sample = take_sample(connection_);
    if (!connection_.traits().counts_acknowledgements) {
        // What was accepted less what waits there changes with every byte written or read.
        const std::uint64_t through = connection_.bytes().sent - sample.queued;
        const auto earlier = std::exchange(acknowledged_before_, through);
        if (earlier && earlier != through) progress_at_ = now;
        return;
    }
    const auto before = std::exchange(acknowledged_before_, sample.acknowledged);
    if (before == sample.acknowledged) return;
    // It came with the last acknowledgement at the latest. The first look only knows that age.
    const auto came = now - std::chrono::milliseconds(sample.acknowledgement_age_ms);
    progress_at_ = std::max(progress_at_, came);
    if (connection_.sending() == sending_phase::fin_sent && sample.taken &&
        sample.acknowledged > connection_.bytes().sent) {
        connection_.enter(sending_phase::fin_acknowledged);
        observe();
    }
}

void ending::expired() noexcept {
    const auto now = connection_.on().seen_at();
    if (now >= deadline_) {
        abort(teardown_cause::deadline);
        return;
    }
    if (waits_for_acknowledgement()) look_for_acknowledgements(now);
    const auto idle = idle_time();
    if (connection_.end_errno() == 0 && idle > 0ns && now - progress_at_ >= idle) {
        abort(teardown_cause::idle);
        return;
    }
    queue_wanted_ = queue_wanted_ || !connection_.traits().tells_by_poll;
    schedule(now);
    advance();
}

} // namespace ringdown
