#include <ringdown/shutdown/ending/internal/ending.hpp>

#include <ringdown/shutdown/ending/internal/verdict.hpp>

// The report of an ending: what was counted, and the verdict on what is known.

namespace ringdown {

std::error_code ending::error() const noexcept {
    if (closing_.error()) return closing_.error();
    const discarder* discarding = connection_.own_discarder();
    return discarding && discarding->error() ? discarding->error() : fin_error_;
}

ending_facts ending::facts() const noexcept {
    delivery_sample sample = *decided_;
    sample.acknowledged = connection_.acknowledged(sample.acknowledged);
    return {
        .traits = connection_.traits(),
        .plan = request_.requested,
        .asked_for = request_.cause,
        .aborted_by = aborted_by_,
        .sending = connection_.sending(),
        .receiving = connection_.receiving(),
        .ended_first = connection_.ended_first(),
        .fins_crossed = acknowledgement_.fins_crossed(),
        .truncated = connection_.truncated(),
        .goodbye_missing = connection_.goodbye_missing(),
        .misunderstood = static_cast<bool>(connection_.layer_error()),
        .lost = connection_.end_errno() != 0,
        .reset = connection_.was_reset(),
        .reset_by_close = closing_.reset_by_unread(),
        .sample = sample,
        .bytes = connection_.bytes(),
    };
}

void ending::complete_report(const ending_facts& facts) noexcept {
    teardown_report& report = report_;
    const verdict judged = judge(facts);
    report.connection = connection_.number();
    report.peer = connection_.peer();
    report.initiator = judged.initiator;
    report.cause = judged.cause;
    report.requested = facts.plan.called;
    report.ending = judged.ending;
    report.delivery = judged.delivery;
    report.sent_bytes = facts.bytes.sent;
    report.unsent_bytes = facts.bytes.handed - facts.bytes.sent;
    report.unacknowledged_bytes = judged.unacknowledged_bytes;
    report.received_bytes = facts.bytes.received;
    report.discarded_bytes = facts.bytes.discarded;
    report.peer_finished = facts.receiving == receiving_phase::finished;
    report.reset_sent = judged.reset_sent;
    report.reset_received = facts.reset;
    report.phase = judged.phase;
    report.error = facts.lost ? system_error(-connection_.end_errno()) : error();
    if (!report.error) report.error = connection_.layer_error();
    report.microseconds.total = std::chrono::duration_cast<teardown_report::times::duration>(
        connection_.on().seen_at() - asked_at_);
}

} // namespace ringdown
