#include <ringdown/shutdown/session/internal/session_state.hpp>

#include <algorithm>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/runtime/internal/assert.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>
#include <ringdown/shutdown/ending/peer_end_policy.hpp>
#include <ringdown/shutdown/session/session_group.hpp>

namespace ringdown {

std::string_view name(session_phase value) noexcept {
    static constexpr std::array<std::string_view, 4> names{"open", "answering", "closing",
                                                           "completed"};
    return names[static_cast<std::size_t>(value)];
}

std::string_view name(session_starter value) noexcept {
    static constexpr std::array<std::string_view, 3> names{"local", "peer", "dispose"};
    return names[static_cast<std::size_t>(value)];
}

std::string_view name(session_peer_end value) noexcept {
    static constexpr std::array<std::string_view, 4> names{"graceful", "truncated", "reset",
                                                           "none"};
    return names[static_cast<std::size_t>(value)];
}

std::string_view name(session_event value) noexcept {
    static constexpr std::array<std::string_view, 4> names{"peer_shutdown", "peer_truncated",
                                                           "peer_reset", "shutdown_completed"};
    return names[static_cast<std::size_t>(value)];
}

// What a session that came too late is held to until its shutdown begins.
class session_state::newcomer final : public pooled, private timer {
public:
    newcomer(session_state& session, const session_policy& policy,
             std::chrono::nanoseconds first_request_within)
        : timer(session.connection_of().on().timers()), of_(session), policy_(policy) {
        set(std::min(later(session.connection_of().on().now(), first_request_within),
                     *policy.limits.deadline));
    }

    [[nodiscard]] const session_policy& policy() const noexcept { return policy_; }

private:
    // Goes with the shutdown that begins.
    void expired() noexcept override {
        const time_point deadline = *policy_.limits.deadline;
        const bool served = of_.counts_.requests > 0 || of_.inside_message_;
        if (served && of_.connection_of().on().now() < deadline)
            set(deadline);
        else if (!of_.begin_shutdown(policy_))
            of_.tighten(policy_.limits);
    }

    session_state& of_;
    session_policy policy_;
};

session_state::session_state(stream stream, session_role role, const session_policy& when_peer_ends)
    : stream_(std::move(stream)), connection_(state_of(stream_)), role_(role),
      when_peer_ends_(when_peer_ends), when_truncated_(when_peer_ends.when_truncated) {
    require(!connection_->ending(), "a session was made of a connection that is ending");
    ringdown::when_peer_ends(stream_, {}); // a session acts by itself when the peer ends
    connection_->follow(*this);
    retain(); // until the connection is closed
}

session_state::~session_state() = default;

void session_state::release() noexcept {
    if (--references_ == 0) delete this;
}

void session_state::enter(session_phase next) noexcept {
    require(legal(phase_, next), "illegal move of a session's phase");
    phase_ = next;
}

std::error_code session_state::begin_request() {
    if (phase_ != session_phase::open || connection_->ending()) {
        ++counts_.dropped;
        return errc::ending;
    }
    if (const int lost = connection_->end_errno()) return connection_->error_of(-lost);
    ++counts_.requests;
    tell_requests();
    return {};
}

void session_state::end_request(bool answered) noexcept {
    if (phase_ == session_phase::completed) return; // counted as cancelled already
    ++(answered ? counts_.answered : counts_.canceled);
    tell_requests();
    if (phase_ == session_phase::answering && pending() == 0)
        let_go();
    else
        mark_if_idle();
}

// Whose send was cut short is known when its task goes on; until then it is nobody's.
std::error_code session_state::begin_send(std::uint64_t request) noexcept {
    if (request == 0 && phase_ != session_phase::open) return errc::ending;
    const connection& connection = *connection_;
    const bool hole = connection.cut_short() && !connection.sealed(allowance::answers);
    if (hole && (cut_ == 0 || cut_ != request)) return canceled();
    return {};
}

void session_state::inside_message(bool inside) noexcept { inside_message_ = inside; }

bool session_state::expects_more() const noexcept {
    return inside_message_ || (role_ == session_role::client && pending() > 0);
}

void session_state::tell_requests() noexcept {
    ringdown::tell_requests(*connection_, pending() > 0);
}

void session_state::begin_receive() noexcept {
    receiving_ = true;
    mark_if_idle();
}

// A session that waits for a request, and holds nothing of one, may be ended by a drain.
void session_state::mark_if_idle() noexcept {
    const bool idle = receiving_ && pending() == 0 && !inside_message_;
    if (phase_ != session_phase::open || !idle) return;
    if (newcomer_ && counts_.requests > 0)
        begin_shutdown(newcomer_->policy());
    else
        tell_idle(*connection_, true);
}

bool session_state::begin_shutdown(const session_policy& policy) {
    if (phase_ != session_phase::open || connection_->ending()) return false;
    when_truncated_ = policy.when_truncated;
    if (policy.unsent == unsent_sends::cancel && role_ == session_role::client) refuse_unsent();
    begin_ending(session_starter::local, {plans::graceful, policy.cause, policy.limits, {}});
    return true;
}

void session_state::begin_shutdown_once_served(const session_policy& policy,
                                               std::chrono::nanoseconds first_request_within) {
    if (connection_->ending()) {
        tighten(policy.limits);
        return;
    }
    if (role_ == session_role::server && counts_.requests == 0 && !inside_message_)
        newcomer_ = std::make_unique<newcomer>(*this, policy, first_request_within);
    else
        begin_shutdown(policy);
}

void session_state::tighten(const ending_policy& limits) noexcept {
    if (phase_ == session_phase::completed || !connection_->ending()) return;
    const auto within = later(connection_->on().now(), limits.within);
    ending::of(*connection_).tighten(std::min(within, limits.deadline.value_or(within)));
}

// Answers of a server are never refused here: whoever waits for them would wait in vain.
void session_state::refuse_unsent() noexcept {
    if (connection_->sending() == sending_phase::open) connection_->sends().refuse_waiting();
}

void session_state::begin_ending(session_starter who, ending_request how) {
    const session_ref kept(*this);
    counts_.began = who;
    connection& connection = *connection_;
    const bool waits = pending() > 0 && how.requested.says_fin;
    const bool awaits_answers = !connection.end_told();
    if (waits && connection.end_errno() == 0) {
        if (role_ == session_role::server)
            how.allowed = allowance::answers;
        else if (awaits_answers)
            how.allowed = allowance::receiving;
    }
    const auto came_late = std::move(newcomer_);
    enter(how.allowed == allowance::nothing ? session_phase::closing : session_phase::answering);
    ending::begin(connection, how);
    if (came_late) tighten(came_late->policy().limits);
}

// Every answer was given, or none will come any more.
void session_state::let_go() noexcept {
    const session_ref kept(*this);
    enter(session_phase::closing);
    ending::of(*connection_).let_go();
}

void session_state::abort(teardown_cause why) {
    if (phase_ == session_phase::completed) return;
    const session_ref kept(*this);
    if (connection_->ending()) {
        ending::of(*connection_).abort(why);
        return;
    }
    begin_ending(session_starter::local, {plans::abort, why, {}, {}});
}

void session_state::dispose() noexcept {
    if (phase_ != session_phase::open || connection_->ending()) return;
    const session_ref kept(*this);
    counts_.began = session_starter::dispose;
    newcomer_.reset();
    enter(session_phase::closing);
    stream_ = {};
}

void session_state::note_end(std::error_code why) noexcept {
    connection& connection = *connection_;
    const bool finished = why == errc::end_of_stream || why == errc::truncated;
    if (phase_ == session_phase::completed || (!finished && connection.end_errno() == 0)) return;
    const session_ref kept(*this);
    if (!finished)
        note_peer_end(session_peer_end::reset);
    else
        note_peer_end(connection.truncated() ? session_peer_end::truncated
                                             : session_peer_end::graceful);

    if (phase_ == session_phase::open && !connection.ending()) {
        // Who sends requests to a peer that has finished would never see an answer.
        if (role_ == session_role::client) refuse_unsent();
        ending_request how{plans::graceful, when_peer_ends_.cause, when_peer_ends_.limits, {}};
        if (finished && answers_by_abort()) how = {plans::abort, teardown_cause::truncated, {}, {}};
        begin_ending(session_starter::peer, how);
    } else if (phase_ == session_phase::answering && role_ == session_role::client) {
        if (finished && answers_by_abort()) ending::of(connection).abort(teardown_cause::truncated);
        if (phase_ == session_phase::answering) let_go();
    }
}

void session_state::note_finished() noexcept {
    if (phase_ == session_phase::completed) return;
    connection_->note_end_of_stream();
    connection_->note_end_told();
    note_end(errc::end_of_stream);
}

bool session_state::answers_by_abort() const noexcept {
    return connection_->truncated() && !when_truncated_.flushes;
}

void session_state::note_peer_end(session_peer_end how) noexcept {
    if (counts_.peer == session_peer_end::reset ||
        (counts_.peer != session_peer_end::none && how != session_peer_end::reset))
        return;
    counts_.peer = how;
    switch (how) {
    case session_peer_end::graceful:
        emit(session_event::peer_shutdown);
        break;
    case session_peer_end::truncated:
        emit(session_event::peer_truncated);
        break;
    case session_peer_end::reset:
        emit(session_event::peer_reset);
        break;
    case session_peer_end::none:
        break;
    }
    peer_end_known_.set();
}

void session_state::emit(session_event what) noexcept {
    events_[events_emitted_++] = what;
    event_arrived_.set();
}

std::optional<session_event> session_state::next_event() noexcept {
    if (events_taken_ == events_emitted_) return {};
    const session_event next = events_[events_taken_++];
    // After the last one nobody waits any more.
    if (events_taken_ == events_emitted_ && next != session_event::shutdown_completed)
        event_arrived_.reset();
    return next;
}

void session_state::reported(const teardown_report& report) noexcept {
    counts_.connection = report;
    const bool lost = report.reset_received || report.ending == actual_ending::lost;
    const bool unanswered = role_ == session_role::client && pending() > 0;
    if (report.peer_finished)
        note_peer_end(connection_->truncated() || unanswered ? session_peer_end::truncated
                                                             : session_peer_end::graceful);
    if (lost) note_peer_end(session_peer_end::reset);
    const bool by_peer = lost || report.initiator == teardown_initiator::peer;
    if (phase_ == session_phase::open && by_peer) counts_.began = session_starter::peer;
    counts_.canceled += pending();

    newcomer_.reset();
    enter(session_phase::completed);
    emit(session_event::shutdown_completed);
    peer_end_known_.set();
    completed_.set();
    if (group_) std::exchange(group_, nullptr)->session_completed(*this);
    release();
}

} // namespace ringdown
