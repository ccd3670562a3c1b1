#include <ringdown/shutdown/ending/internal/verdict.hpp>

namespace ringdown {
namespace {

actual_ending ending_of(const ending_facts& facts) noexcept {
    if (!facts.traits.has_peer) return actual_ending::closed;
    if (facts.lost) return facts.reset ? actual_ending::reset : actual_ending::lost;
    if (facts.aborted_by)
        return facts.plan.says_fin ? actual_ending::degraded : actual_ending::aborted;
    if (facts.plan.releases() && !facts.sample.gone) return actual_ending::released;
    const bool in_order = facts.receiving == receiving_phase::finished && !facts.goodbye_missing &&
                          !facts.misunderstood;
    return in_order ? actual_ending::graceful : actual_ending::delivered;
}

teardown_cause cause_of(const ending_facts& facts) noexcept {
    if (facts.lost)
        return facts.reset ? teardown_cause::peer_reset : teardown_cause::network_timeout;
    if (facts.misunderstood && !facts.aborted_by) return teardown_cause::error;
    if (facts.truncated && !facts.aborted_by) return teardown_cause::truncated;
    return facts.aborted_by.value_or(facts.asked_for);
}

teardown_initiator initiator_of(const ending_facts& facts, actual_ending ending) noexcept {
    switch (ending) {
    case actual_ending::lost:
        return teardown_initiator::kernel;
    case actual_ending::reset:
        return facts.ended_first == first_end::local ? teardown_initiator::local
                                                     : teardown_initiator::peer;
    case actual_ending::aborted:
        return teardown_initiator::local;
    default:
        break;
    }
    if (facts.fins_crossed) return teardown_initiator::both;
    return facts.ended_first == first_end::peer ? teardown_initiator::peer
                                                : teardown_initiator::local;
}

teardown_phase phase_of(sending_phase sending, receiving_phase receiving) noexcept {
    switch (sending) {
    case sending_phase::open:
        return teardown_phase::open;
    case sending_phase::flushing:
        return teardown_phase::flushing;
    case sending_phase::fin_sent:
        return teardown_phase::fin_sent;
    case sending_phase::fin_acknowledged:
        break;
    }
    return receiving == receiving_phase::finished ? teardown_phase::finished
                                                  : teardown_phase::fin_acknowledged;
}

struct delivered_part {
    bool all;
    std::optional<std::uint64_t> missing; // payload
};

delivered_part by_count(const ending_facts& facts) noexcept {
    const std::uint64_t arrived = facts.acknowledged();
    const std::uint64_t sent = facts.bytes.sent;
    const std::uint64_t missing = sent > arrived ? sent - arrived : 0;
    const bool fin_sent = facts.sending >= sending_phase::fin_sent;
    return {missing == 0 && (!fin_sent || arrived > sent), missing};
}

// The queue holds memory, not bytes, so it tells all or nothing; and a reset empties it as well.
delivered_part by_queue(const ending_facts& facts) noexcept {
    const bool unsent = facts.bytes.handed > facts.bytes.sent;
    if (unsent || facts.sample.queued > 0 || facts.reset) return {false, {}};
    return {true, 0};
}

} // namespace

// Without a sample the ending was decided because the queue was empty behind FIN, or the kernel has
// refused to tell.
std::uint64_t ending_facts::acknowledged() const noexcept {
    if (sample.taken) return sample.acknowledged;
    return sending == sending_phase::fin_acknowledged ? bytes.sent + 1 : 0;
}

verdict judge(const ending_facts& facts) noexcept {
    verdict judged{};
    judged.ending = ending_of(facts);
    judged.cause = cause_of(facts);
    judged.initiator = initiator_of(facts, judged.ending);
    judged.phase = phase_of(facts.sending, facts.receiving);
    judged.reset_sent = (facts.aborted_by && facts.sample.reset_on_abort) || facts.reset_by_close;
    judged.delivery = delivery_verdict::unknown;
    const bool known = facts.sample.taken || facts.sending == sending_phase::fin_acknowledged;
    if (!known) return judged;
    const auto part = facts.traits.counts_acknowledgements ? by_count(facts) : by_queue(facts);
    const bool all = part.all && facts.bytes.handed == facts.bytes.sent;
    judged.delivery = all ? delivery_verdict::acknowledged : delivery_verdict::unacknowledged;
    judged.unacknowledged_bytes = part.missing;
    return judged;
}

} // namespace ringdown
