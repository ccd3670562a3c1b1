#include <ringdown/shutdown/ending/internal/patience.hpp>

#include <algorithm>

namespace ringdown {

using namespace std::chrono_literals;

patience::patience(const ending_policy& limits, time_point asked_at, bool waits_for_peer) noexcept
    : deadline_(later(asked_at, limits.within)), progress_at_(asked_at),
      idle_(std::max<std::chrono::nanoseconds>(limits.idle, 0ns)), waits_for_peer_(waits_for_peer) {
    if (limits.deadline) tighten(*limits.deadline);
}

void patience::begin_to_wait(time_point now) noexcept {
    waits_for_peer_ = true;
    progress_at_ = now;
}

void patience::note_progress(time_point at) noexcept { progress_at_ = std::max(progress_at_, at); }

void patience::tighten(time_point deadline) noexcept { deadline_ = std::min(deadline_, deadline); }

std::chrono::nanoseconds patience::idle() const noexcept { return waits_for_peer_ ? idle_ : 0ns; }

std::optional<teardown_cause> patience::over(time_point now) const noexcept {
    if (now >= deadline_) return teardown_cause::deadline;
    if (idle() > 0ns && now - progress_at_ >= idle()) return teardown_cause::idle;
    return {};
}

patience::time_point patience::next(time_point now) const noexcept {
    if (idle() == 0ns) return deadline_;
    return std::min(deadline_, std::max<time_point>(later(progress_at_, idle()), now + 100us));
}

} // namespace ringdown
