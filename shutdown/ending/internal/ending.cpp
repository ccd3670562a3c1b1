#include <ringdown/shutdown/ending/internal/ending.hpp>

#include <algorithm>
#include <cerrno>
#include <memory>

#include <ringdown/net/internal/fin.hpp>
#include <ringdown/net/internal/inbox.hpp>
#include <ringdown/runtime/internal/assert.hpp>

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
      asked_at_(connection.on().seen_at()), deadline_(later(asked_at_, request.policy.within)),
      progress_at_(asked_at_),
      discard_(connection, "discard", *this, &ending::discard_settled, true),
      queue_(connection, "siocoutq", *this, &ending::queue_settled),
      close_(connection, "close", *this, &ending::close_settled),
      discarded_before_(connection.bytes().discarded) {
    if (request.policy.deadline) deadline_ = std::min(deadline_, *request.policy.deadline);
}

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
        abort(teardown_cause::canceled);
        return;
    }
    connection_.enter(life_phase::ending);
    connection_.allow(request_.allowed);
    if (connection_.allowed() != allowance::receiving) seal_receiving();
    if (connection_.end_errno() == 0) {
        if (connection_.allowed() != allowance::answers && !releases()) connection_.request_fin();
        schedule(asked_at_);
    }
    advance();
}

void ending::seal_receiving() noexcept {
    if (inbox* dropped = connection_.own_inbox()) {
        dropped->seal();
        if (releases()) dropped->request_cancel(); // what comes from now on is the application's
    }
    connection_.cancel_operations(false);
    if (connection_.end_errno() == 0 && connection_.receiving() == receiving_phase::open &&
        !releases())
        connection_.enter(receiving_phase::discarding);
}

void ending::let_go() noexcept {
    const allowance was = connection_.allowed();
    if (decided_ || was == allowance::nothing) return;
    connection_.allow(allowance::nothing);
    if (connection_.cut_short()) {
        abort(teardown_cause::canceled); // a FIN behind half an answer would make it look whole
        return;
    }
    if (was == allowance::answers) discarded_freely_ = discarded();
    if (was == allowance::receiving) seal_receiving();
    if (connection_.end_errno() == 0) {
        connection_.request_fin();
        progress_at_ = connection_.on().seen_at(); // until now the peer has not been waited for
        schedule(progress_at_);
    }
    advance();
}

void ending::advance() noexcept {
    if (connection_.life() >= life_phase::joined) {
        if (connection_.idle()) finish();
        return;
    }
    observe();
    if (!decided_) step();
    if (decided_ && may_close()) close();
}

// Where the close resets, it does not wait for buffers that only the reset frees.
bool ending::may_close() const noexcept {
    return resets_at_close_ ? connection_.lets_go_of_descriptor() : connection_.idle();
}

// Times are those at which the loop saw the phase, unless it is known when that was.
void ending::observe(std::optional<time_point> at) noexcept {
    auto& times = report_.microseconds;
    const auto since = [&] {
        return std::chrono::duration_cast<teardown_report::times::duration>(
            (at ? *at : connection_.on().seen_at()) - asked_at_);
    };
    if (!times.flush && connection_.sending() >= sending_phase::fin_sent) {
        times.flush = since();
        queue_wanted_ = true;
    }
    if (!times.peer_finished && connection_.receiving() == receiving_phase::finished) {
        times.peer_finished = since();
        queue_wanted_ = true;
    }
    if (!times.fin_acknowledged && connection_.sending() == sending_phase::fin_acknowledged)
        times.fin_acknowledged = since();
}

void ending::step() {
    if (connection_.end_errno() != 0) {
        decide(take_sample(connection_));
        return;
    }
    if (releases()) {
        if (connection_.sends().empty() && !connection_.pins_buffers())
            decide(take_sample(connection_));
        return;
    }
    if (error_) abort(teardown_cause::error);
    if (connection_.allowed() == allowance::answers) watch_for_loss();
    if (!decided_) step_discarding();
    if (!decided_) step_sending();
    if (decided_) return;

    const bool acknowledged = connection_.sending() == sending_phase::fin_acknowledged;
    const bool waits_for_peer = request_.requested.waits_for == awaited_answer::peer_fin;
    if (acknowledged && (!waits_for_peer || peer_finished())) decide({});
}

// Known is the peer's FIN as soon as the kernel has told; over is the conversation when the
// application has taken what came before.
bool ending::peer_finished() const noexcept {
    return connection_.receiving() == receiving_phase::finished &&
           (connection_.allowed() != allowance::receiving || connection_.end_told());
}

void ending::step_sending() {
    if (connection_.sending() == sending_phase::flushing &&
        connection_.fin().settled_event().happened()) {
        // FIN was refused: a send before it was cut short, or there is no connection any more.
        const int refused = connection_.fin().result();
        if (refused != -ECANCELED && refused != -ENOTCONN) error_ = system_error(refused);
        abort(refused == -ECANCELED ? teardown_cause::canceled : teardown_cause::error);
        return;
    }
    if (connection_.sending() == sending_phase::fin_sent && queue_wanted_ && !queue_.in_flight() &&
        !receive_tells_first())
        ask_queue();
}

void ending::decide(const delivery_sample& sample) noexcept {
    decided_ = sample;
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
