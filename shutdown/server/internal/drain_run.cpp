#include <ringdown/shutdown/server/internal/drain_run.hpp>

#include <algorithm>

#include <ringdown/net/internal/tcp_state.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>

// A drain's time, and the ending of idle connections.

namespace ringdown {

using namespace std::chrono_literals;

namespace {

// Between two looks at those that have not sent anything.
constexpr auto young_look = 5ms;
// Endings of idle connections have the drain's deadline, which aborts them all; this one is none.
constexpr auto beyond_deadline = 1h;
// Of so many connections the round trip is asked, which takes half a microsecond each.
constexpr std::size_t round_trips_asked = 64;
constexpr auto uncounted_at_least = 10ms;

} // namespace

server::drain_run::drain_run(server& server, const drain_policy& policy)
    : server_(server), policy_(policy), begun_(server.on_.now()),
      deadline_(later(begun_, policy.within)), phase_since_(begun_), before_(server.counters_),
      deadline_timer_(*this, &drain_run::deadline_passed), step_(*this, &drain_run::step) {
    if (policy.deadline) deadline_ = std::min(deadline_, *policy.deadline);
    deadline_timer_.set(deadline_);
    server_.under_way_ = this;
}

server::drain_run::~drain_run() {
    if (server_.under_way_ == this) server_.under_way_ = nullptr;
}

void server::drain_run::note_left(server_phase left) noexcept {
    const auto now = server_.on_.now();
    by_phase_[static_cast<std::size_t>(left)] += now - std::exchange(phase_since_, now);
}

drain_report server::drain_run::report() {
    note_left(called_off_ ? server_phase::serving : server_.phase_);
    drain_report made;
    made.accepts = server_.accepts();
    made.reports = server_.counters_.reports;
    made.connections = server_.counters_;
    made.connections.subtract(before_);
    if (!called_off_) made.stragglers = std::move(server_.stragglers_);
    made.escalated = escalated_;
    made.called_off = called_off_;
    made.newcomers = newcomers;
    made.took = phase_since_ - begun_;
    made.by_phase = by_phase_;
    return made;
}

void server::drain_run::call_off() noexcept {
    called_off_ = true;
    step_.unset();
    server_.cancel_hook();
    server_.enter(server_phase::serving);
    server_.under_way_ = nullptr;
    stir();
}

// The connections are aborted here and now, whatever the drain or a hook waits for.
void server::drain_run::deadline_passed() noexcept {
    if (!called_off_ || server_.hook_of_ == this) server_.cancel_hook();
    // Who waits in the queue for want of descriptors is left, too.
    const bool ended = stopped && server_.phase_ >= server_phase::waiting && server_.nothing_left();
    if (!called_off_ && !ended) server_.abort_all(teardown_cause::deadline);
    stir();
}

void server::drain_run::step() noexcept {
    if (ends_idle_) end_idle();
    stir();
}

// At half of the time they end, so that they have the other half for a graceful end.
loop::time_point server::drain_run::notice_until() const noexcept {
    const auto now = server_.on_.now();
    if (short_) return now;
    return std::min(later(now, policy_.notice_for), now + (deadline_ - now) / 2);
}

handshake_patience server::drain_run::patience() const noexcept {
    std::chrono::microseconds longest = 0us;
    std::size_t passed = 0;
    const std::size_t apart = server_.open_ / round_trips_asked + 1;
    server_.tracked_.for_each([&](tracked& each) {
        connection& served = each.served();
        if (passed++ % apart || served.descriptor() < 0) return;
        const auto known = tcp_info_of(server_.on_.calls(), served.descriptor());
        longest = std::max(longest, std::chrono::microseconds(known.round_trip_us));
    });
    return {.within = policy_.handshakes_within,
            .uncounted = std::max<std::chrono::nanoseconds>(2 * longest, uncounted_at_least)};
}

void server::drain_run::note_shortage() {
    short_ = true;
    begin_ending_idle();
    end_idle();
    stir();
}

void server::drain_run::begin_ending_idle() {
    if (ends_idle_) return;
    ends_idle_ = true;
    asked_at_ = server_.on_.now();
    server_.tracked_.for_each([this](tracked& each) {
        if (!each.marked_idle()) return;
        idle_.push_back(each);
        ++idle_at_first_;
    });
    end_idle();
}

void server::drain_run::marked_idle(tracked& idle) noexcept {
    if (!ends_idle_ || server_.phase_ >= server_phase::aborting) return;
    idle.list_hook<drain_run>::unlink();
    settle(idle);
    // One that is set already is sooner, and must not be moved by each that becomes idle.
    if (!step_.is_set()) look_again(server_.on_.now());
}

loop::time_point server::drain_run::grown_up_at(const tracked& young) const noexcept {
    return std::min(later(young.accepted_at(), policy_.first_request_within),
                    asked_at_ + (deadline_ - asked_at_) / 2);
}

void server::drain_run::settle(tracked& next) noexcept {
    const auto found = next.look(grown_up_at(next));
    next.list_hook<drain_run>::unlink();
    if (found == tracked::idleness::young) young_.push_back(next);
    if (found != tracked::idleness::idle) return;
    ending_request request{plans::graceful, teardown_cause::drain, {}};
    request.policy.within = std::chrono::nanoseconds::max();
    request.policy.deadline = later(deadline_, beyond_deadline);
    request.policy.idle = policy_.idle;
    request.policy.discard_bytes_max = policy_.discard_bytes_max;
    ending::begin(next.served(), request);
}

std::size_t server::drain_run::allowed_by(loop::time_point now) const noexcept {
    const auto passed = now - asked_at_;
    if (short_ || passed >= policy_.spread) return idle_at_first_;
    const double part = std::chrono::duration<double>(passed) / policy_.spread;
    return static_cast<std::size_t>(part * static_cast<double>(idle_at_first_)) + 1;
}

void server::drain_run::end_idle() noexcept {
    const auto now = server_.on_.now();
    if (!young_.empty() && now >= grown_up_at(young_.front())) {
        waiting_list again;
        again.take(young_);
        while (!again.empty())
            settle(again.front());
    }
    for (const std::size_t allowed = allowed_by(now); !idle_.empty() && idle_ended_ < allowed;
         ++idle_ended_)
        settle(idle_.front());
    look_again(now);
}

void server::drain_run::look_again(loop::time_point now) noexcept {
    auto next = loop::time_point::max();
    if (!idle_.empty())
        next = later(now, std::max<std::chrono::nanoseconds>(
                              policy_.spread / static_cast<std::int64_t>(idle_at_first_), 1ms));
    if (!young_.empty())
        next = std::min(next,
                        std::max<loop::time_point>(grown_up_at(young_.front()), now + young_look));
    if (next != loop::time_point::max()) step_.set(next);
}

} // namespace ringdown
