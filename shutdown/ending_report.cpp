#include <ringdown/shutdown/ending.hpp>

#include <sys/socket.h>

// How the report of an ending is made from its sample and the connection's phases.
namespace ringdown {

// Payload and FIN that the peer's kernel has, as far as the sample knows.
std::uint64_t ending::acknowledged() const noexcept {
    if (decided_->taken) return decided_->acknowledged;
    // Decided because the queue was empty behind FIN; or the kernel has refused to tell.
    const bool all = connection_.sending() == sending_phase::fin_acknowledged;
    return all ? connection_.bytes().sent + 1 : 0;
}

actual_ending ending::outcome() const noexcept {
    if (connection_.from().kind == connection_kind::datagram) return actual_ending::closed;
    if (connection_.end_errno() != 0)
        return connection_.was_reset() ? actual_ending::reset : actual_ending::lost;
    if (aborted_by_) {
        const bool asked_for_less = request_.requested == requested_ending::abort ||
                                    request_.requested == requested_ending::none || releases();
        return asked_for_less ? actual_ending::aborted : actual_ending::degraded;
    }
    if (releases() && !decided_->gone) return actual_ending::released;
    return connection_.receiving() == receiving_phase::finished ? actual_ending::graceful
                                                                : actual_ending::delivered;
}

teardown_cause ending::cause() const noexcept {
    if (connection_.end_errno() != 0)
        return connection_.was_reset() ? teardown_cause::peer_reset
                                       : teardown_cause::network_timeout;
    if (connection_.truncated() && !aborted_by_) return teardown_cause::truncated;
    return aborted_by_.value_or(request_.cause);
}

teardown_initiator ending::initiator() const noexcept {
    const bool ours_first = connection_.ended_first() == first_end::local;
    switch (outcome()) {
    case actual_ending::lost:
        return teardown_initiator::kernel;
    case actual_ending::reset:
        return ours_first ? teardown_initiator::local : teardown_initiator::peer;
    case actual_ending::aborted:
        return teardown_initiator::local;
    default:
        break;
    }
    if (crossed_) return teardown_initiator::both;
    return connection_.ended_first() == first_end::peer ? teardown_initiator::peer
                                                        : teardown_initiator::local;
}

namespace {

teardown_phase phase_of(const connection& ended) noexcept {
    switch (ended.sending()) {
    case sending_phase::open:
        return teardown_phase::open;
    case sending_phase::flushing:
        return teardown_phase::flushing;
    case sending_phase::fin_sent:
        return teardown_phase::fin_sent;
    case sending_phase::fin_acknowledged:
        break;
    }
    return ended.receiving() == receiving_phase::finished ? teardown_phase::finished
                                                          : teardown_phase::fin_acknowledged;
}

} // namespace

// The kernel has filled the name in, if it was asked.
void ending::name_peer() noexcept {
    if (report_.peer.family() != AF_UNSPEC) return;
    report_.peer = {};
    report_.peer = connection_.peer();
}

void ending::complete_report() noexcept {
    connection& of = connection_;
    const connection::counters& bytes = of.bytes();
    teardown_report& report = report_;
    report.connection = of.number();
    name_peer();
    report.initiator = initiator();
    report.cause = cause();
    report.requested = request_.requested;
    report.ending = outcome();
    report.sent_bytes = bytes.sent;
    report.unsent_bytes = bytes.handed - bytes.sent;
    report.received_bytes = bytes.received;
    report.discarded_bytes = bytes.discarded;
    report.peer_finished = of.receiving() == receiving_phase::finished;
    report.reset_sent = (aborted_by_ && decided_->reset_on_abort) || reset_by_unread_;
    report.reset_received = of.was_reset();
    report.phase = phase_of(of);
    report.error = of.end_errno() != 0 ? system_error(-of.end_errno()) : error_;
    report.microseconds.total =
        std::chrono::duration_cast<teardown_report::times::duration>(of.on().seen_at() - asked_at_);

    const bool fin_sent = of.sending() >= sending_phase::fin_sent;
    const bool sampled = decided_->taken || of.sending() == sending_phase::fin_acknowledged;
    bool all = report.unsent_bytes == 0;
    if (of.from().kind == connection_kind::tcp) {
        const std::uint64_t arrived = acknowledged();
        report.unacknowledged_bytes = bytes.sent > arrived ? bytes.sent - arrived : 0;
        all = all && report.unacknowledged_bytes == 0 && (!fin_sent || arrived > bytes.sent);
    } else {
        all = all && decided_->queued == 0 && !of.was_reset();
        if (all) report.unacknowledged_bytes = 0;
    }
    if (sampled)
        report.delivery = all ? delivery_verdict::acknowledged : delivery_verdict::unacknowledged;
    else
        report.unacknowledged_bytes.reset();
}

} // namespace ringdown
