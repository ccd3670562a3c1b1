#include <ringdown/shutdown/ending/internal/ending.hpp>

#include <algorithm>
#include <cerrno>

#include <ringdown/net/internal/inbox.hpp>
#include <ringdown/runtime/internal/assert.hpp>
#include <ringdown/shutdown/ending/internal/sampling.hpp>

namespace ringdown {
namespace {

teardown_cause cause_of(abandonment why) noexcept {
    switch (why) {
    case abandonment::dropped:
        return teardown_cause::dropped;
    case abandonment::canceled:
        return teardown_cause::canceled;
    case abandonment::discard_limit:
        break;
    }
    return teardown_cause::discard_limit;
}

void end_and_report(connection& left, abandonment why) noexcept {
    const bool dropped = why == abandonment::dropped;
    if (left.ending()) {
        if (why == abandonment::canceled) ending::of(left).abort(teardown_cause::canceled);
        return;
    }
    ending_request request;
    request.cause = cause_of(why);
    request.requested = plans::unasked;
    if (dropped && left.when_dropped().action == drop_action::finish) {
        request.requested = plans::background;
        request.policy.within = left.when_dropped().within;
    }
    ending::begin(left, request);
}

} // namespace

// What is linked statically asks for this by name, or the file would be left out.
extern "C" const abandoned_ending ringdown_ends_connections = end_abandoned = &end_and_report;

ending::ending(connection& connection, const ending_request& request) noexcept
    : timer(connection.on().timers()), connection_(connection), request_(request),
      asked_at_(connection.on().seen_at()),
      patience_(request.policy, asked_at_, request.allowed == allowance::nothing),
      acknowledgement_(connection), closing_(connection) {}

ending& ending::begin(connection& connection, const ending_request& request) {
    require(!connection.ending(), "a connection was ended twice");
    require(
        request.requested.flushes || !request.requested.says_fin,
        "an ending plan says FIN and flushes nothing; FIN would make a cut stream look whole, so "
        "set `flushes` as well");
    auto* begun = new ending(connection, request);
    connection.set_ending(*begun);
    begun->start();
    return *begun;
}

void ending::start() {
    observe(asked_at_); // what was reached before the request has taken no time
    if (!request_.requested.flushes || !connection_.traits().has_peer) {
        abort(request_.cause);
        return;
    }
    if (connection_.ended_first() == first_end::peer &&
        request_.cause == teardown_cause::application)
        request_.cause = teardown_cause::peer_finished;
    if (connection_.cut_short() && !releases()) {
        abort(connection_.layer_error() ? teardown_cause::error : teardown_cause::canceled);
        return;
    }
    connection_.enter(life_phase::ending);
    connection_.allow(request_.allowed);
    if (connection_.allowed() != allowance::receiving) seal_receiving();
    if (connection_.end_errno() == 0) {
        if (connection_.allowed() != allowance::answers && !releases()) say_fin();
        schedule(asked_at_);
    }
    advance();
}

void ending::seal_receiving() noexcept {
    if (inbox* dropped = connection_.own_inbox()) {
        dropped->seal();
        if (releases()) dropped->request_cancel(); // what comes from now on is the application's
    }
    if (discarder* dropping = connection_.own_discarder(); dropping && releases())
        dropping->request_cancel();
    connection_.cancel_operations(false);
    if (connection_.end_errno() != 0 || releases()) return;
    if (connection_.receiving() == receiving_phase::open)
        connection_.enter(receiving_phase::discarding);
    if (connection_.receiving() != receiving_phase::discarding) return;
    discarder& discarding = connection_.make_discarder();
    discarding.set_limit(request_.policy.discard_bytes_max);
    discarding.set_free(connection_.allowed() == allowance::answers);
}

// Behind what the protocol says last, if it says anything.
void ending::say_fin() noexcept {
    if (farewell_.runs()) return; // FIN follows it
    const std::unique_ptr<farewell> last_words = connection_.take_farewell();
    if (last_words && connection_.sending() == sending_phase::open) {
        if (!last_words->bytes.empty()) {
            last_bytes_ =
                std::make_unique<unawaited_send>(connection_, std::move(last_words->bytes));
            last_bytes_->begin();
            if (last_bytes_->failed()) {
                fin_error_ = canceled(); // FIN would stand for what was not said
                return;
            }
        }
        if (last_words->say && !connection_.on().runs()) {
            fin_error_ = canceled(); // nobody could say it, and without it FIN is not the end
            return;
        }
        if (last_words->say) {
            patience_.pause();
            connection_.say_farewell(true);
            farewell_.begin(connection_, std::move(*last_words->say));
            return;
        }
    }
    connection_.request_fin();
}

void ending::farewell_said(bool failed) noexcept {
    connection_.say_farewell(false);
    if (failed || connection_.cut_short()) {
        abort(failed ? teardown_cause::error : teardown_cause::canceled);
        return;
    }
    if (connection_.end_errno() == 0) connection_.request_fin();
    if (connection_.allowed() == allowance::nothing)
        patience_.begin_to_wait(connection_.on().seen_at());
    schedule(connection_.on().seen_at());
    advance();
}

void ending::let_go() noexcept {
    const allowance was = connection_.allowed();
    if (decided_ || was == allowance::nothing) return;
    connection_.allow(allowance::nothing);
    if (connection_.cut_short()) {
        abort(teardown_cause::canceled); // a FIN behind half an answer would make it look whole
        return;
    }
    if (was == allowance::receiving) seal_receiving();
    if (discarder* discarding = connection_.own_discarder()) discarding->set_free(false);
    if (connection_.end_errno() == 0) {
        patience_.begin_to_wait(connection_.on().seen_at());
        say_fin();
        schedule(connection_.on().seen_at());
    }
    advance();
}

void ending::tighten(time_point deadline) noexcept {
    patience_.tighten(deadline);
    if (!decided_) schedule(connection_.on().seen_at());
}

void ending::schedule(time_point now) noexcept {
    const auto look = acknowledgement_.next_look(now, patience_.idle());
    set(std::min(patience_.next(now), look));
}

void ending::expired() noexcept {
    const auto now = connection_.on().seen_at();
    if (now < patience_.deadline()) acknowledgement_.look(now);
    observe(now);
    if (const auto over = patience_.over(now)) {
        abort(*over);
        return;
    }
    schedule(now);
    advance();
}

void ending::advance() noexcept {
    if (connection_.life() >= life_phase::joined) {
        if (connection_.idle()) finish();
        return;
    }
    observe(connection_.on().seen_at());
    if (!decided_) step();
    if (decided_ && closing_.may_begin()) close();
}

// Times are those at which the loop saw the phase, unless it is known when that was.
void ending::observe(time_point at) noexcept {
    auto& times = report_.microseconds;
    const auto since = std::chrono::duration_cast<teardown_report::times::duration>(at - asked_at_);
    if (!times.flush && connection_.sending() >= sending_phase::fin_sent) {
        times.flush = since;
        acknowledgement_.note_change();
    }
    if (!times.peer_finished && connection_.receiving() == receiving_phase::finished) {
        times.peer_finished = since;
        acknowledgement_.note_change();
    }
    if (!times.fin_acknowledged && connection_.sending() == sending_phase::fin_acknowledged)
        times.fin_acknowledged = since;
    patience_.note_progress(acknowledgement_.moved_at());
    if (const discarder* discarding = connection_.own_discarder())
        patience_.note_progress(discarding->dropped_at());
}

void ending::step() {
    if (connection_.end_errno() != 0) {
        decide(take_sample(connection_));
        return;
    }
    if (releases()) {
        if (connection_.all_sent() && !connection_.pins_buffers()) decide(take_sample(connection_));
        return;
    }
    if (error()) abort(teardown_cause::error);
    if (!decided_) step_watching();
    if (!decided_) step_discarding();
    if (!decided_) step_sending();
    if (decided_) return;

    const bool waits_for_peer = request_.requested.waits_for == awaited_answer::peer_fin;
    if (!acknowledgement_.awaited() && (!waits_for_peer || peer_finished())) decide({});
}

// Known is the peer's FIN as soon as the kernel has told; over is the conversation when the
// application has taken what came before.
bool ending::peer_finished() const noexcept {
    return connection_.receiving() == receiving_phase::finished &&
           (connection_.allowed() != allowance::receiving || connection_.end_told());
}

// While answers are owed to a peer that has finished, no receive would tell of its reset.
void ending::step_watching() {
    if (connection_.allowed() != allowance::answers || !connection_.traits().tells_by_poll ||
        connection_.receiving() != receiving_phase::finished)
        return;
    connection_.make_peer_watch().look_for_reset(at_ending::keep);
}

bool ending::over_discard_limit() const noexcept {
    const discarder* discarding = connection_.own_discarder();
    return discarding && discarding->over_limit();
}

void ending::step_discarding() {
    if (connection_.receiving() != receiving_phase::discarding) return;
    if (over_discard_limit())
        abort(teardown_cause::discard_limit);
    else
        connection_.make_discarder().step();
}

void ending::step_sending() {
    if (connection_.sending() == sending_phase::flushing &&
        connection_.fin().settled_event().happened()) {
        // FIN was refused: a send before it was cut short, or there is no connection any more.
        const int refused = connection_.fin().result();
        if (refused != -ECANCELED && refused != -ENOTCONN) fin_error_ = system_error(refused);
        const bool canceled = refused == -ECANCELED && !connection_.layer_error();
        abort(canceled ? teardown_cause::canceled : teardown_cause::error);
        return;
    }
    const discarder* discarding = connection_.own_discarder();
    const bool receives = connection_.receives() || (discarding && discarding->in_flight());
    acknowledgement_.step(receives && request_.requested.waits_for == awaited_answer::peer_fin);
    if (connection_.sending() == sending_phase::fin_acknowledged)
        observe(connection_.on().seen_at()); // it was asked in place
}

void ending::decide(const delivery_sample& sample) noexcept {
    decided_ = sample;
    acknowledgement_.stop();
    connection_.say_farewell(false);
    if (farewell_.runs()) farewell_.cancel();
    if (peer_watch* watch = connection_.own_peer_watch()) watch->stop();
    if (discarder* discarding = connection_.own_discarder()) discarding->stop();
    connection_.allow(allowance::nothing);
    if (inbox* dropped = connection_.own_inbox()) dropped->seal();
    unset();
    connection_.stop_sends();
    if (connection_.life() == life_phase::aborting)
        connection_.cancel_after_reset();
    else
        connection_.cancel_operations(true);
}

} // namespace ringdown
