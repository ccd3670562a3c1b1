#include <ringdown/shutdown/ending/internal/verdict.hpp>

#include <string>

#include <doctest/doctest.h>

using namespace ringdown;

// The guide's table of cases ("What the cases look like"), row by row, and what it leaves open.

namespace {

std::string judged(const ending_facts& facts) {
    const verdict found = judge(facts);
    std::string all;
    for (const std::string_view each :
         {name(found.initiator), name(found.cause), name(found.ending), name(found.delivery)})
        all.append(all.empty() ? "" : " ").append(each);
    if (found.unacknowledged_bytes)
        all += ", " + std::to_string(*found.unacknowledged_bytes) + " missing";
    return found.reset_sent ? all + ", RST" : all;
}

// We have sent 100 bytes and FIN, and all of it was acknowledged; then the peer has finished.
ending_facts both_finished() {
    return {.traits = transports::tcp,
            .plan = plans::graceful,
            .sending = sending_phase::fin_acknowledged,
            .receiving = receiving_phase::finished,
            .ended_first = first_end::local,
            .bytes = {.handed = 100, .sent = 100, .received = 10}};
}

// The peer's kernel had so much of these 100 bytes when we looked, right before our reset.
delivery_sample sampled(std::uint64_t acknowledged) {
    return {.taken = true, .acknowledged = acknowledged, .received = 10, .reset_on_abort = true};
}

ending_facts aborted(teardown_cause why, sending_phase sending, std::uint64_t acknowledged) {
    ending_facts facts = both_finished();
    facts.aborted_by = why;
    facts.sending = sending;
    facts.receiving = receiving_phase::discarding;
    facts.sample = sampled(acknowledged);
    return facts;
}

ending_facts reset_by_peer(sending_phase sending, std::uint64_t acknowledged) {
    ending_facts facts = both_finished();
    facts.lost = facts.reset = true;
    facts.sending = sending;
    facts.receiving = receiving_phase::reset;
    facts.ended_first = sending >= sending_phase::fin_sent ? first_end::local : first_end::peer;
    facts.sample = sampled(acknowledged);
    facts.sample.reset_on_abort = false;
    facts.sample.gone = true;
    return facts;
}

} // namespace

TEST_CASE("verdict: both sides have finished") {
    ending_facts facts = both_finished();
    CHECK(judged(facts) == "local application graceful acknowledged, 0 missing");
    facts.fins_crossed = true;
    CHECK(judged(facts) == "both application graceful acknowledged, 0 missing");
    facts.fins_crossed = false;
    facts.ended_first = first_end::peer;
    facts.asked_for = teardown_cause::peer_finished;
    CHECK(judged(facts) == "peer peer_finished graceful acknowledged, 0 missing");
    facts.truncated = true;
    CHECK(judged(facts) == "peer truncated graceful acknowledged, 0 missing");
}

TEST_CASE("verdict: a limit has passed") {
    using enum teardown_cause;
    for (const auto limit : {deadline, idle, discard_limit}) {
        const std::string why(name(limit));
        const auto stuck = aborted(limit, sending_phase::flushing, 30);
        CHECK(judged(stuck) == "local " + why + " degraded unacknowledged, 70 missing, RST");
        const auto silent = aborted(limit, sending_phase::fin_acknowledged, 101);
        CHECK(judged(silent) == "local " + why + " degraded acknowledged, 0 missing, RST");
    }
    auto both = both_finished();
    both.asked_for = discard_limit; // behind the peer's FIN there is nothing to reset
    CHECK(judged(both) == "local discard_limit graceful acknowledged, 0 missing");
    auto in_message = aborted(deadline, sending_phase::fin_sent, 101);
    in_message.truncated = true; // what we do about it comes before what it was
    CHECK(judged(in_message) == "local deadline degraded acknowledged, 0 missing, RST");
}

TEST_CASE("verdict: the peer has reset") {
    const auto open = reset_by_peer(sending_phase::open, 100);
    CHECK(judged(open) == "peer peer_reset reset acknowledged, 0 missing");
    const auto half = reset_by_peer(sending_phase::open, 60);
    CHECK(judged(half) == "peer peer_reset reset unacknowledged, 40 missing");
    const auto behind_fin = reset_by_peer(sending_phase::fin_sent, 101);
    CHECK(judged(behind_fin) == "local peer_reset reset acknowledged, 0 missing");
    const auto only_fin_is_unsure = reset_by_peer(sending_phase::fin_sent, 100);
    CHECK(judged(only_fin_is_unsure) == "local peer_reset reset unacknowledged, 0 missing");
    auto unsent = reset_by_peer(sending_phase::open, 100);
    unsent.bytes.handed = 500;
    CHECK(judged(unsent) == "peer peer_reset reset unacknowledged, 0 missing");
}

TEST_CASE("verdict: the network was lost") {
    auto facts = reset_by_peer(sending_phase::flushing, 10);
    facts.reset = false;
    CHECK(judged(facts) == "kernel network_timeout lost unacknowledged, 90 missing");
}

TEST_CASE("verdict: we have aborted, unasked or asked") {
    using enum teardown_cause;
    auto facts = aborted(application, sending_phase::open, 100);
    facts.plan = plans::abort;
    CHECK(judged(facts) == "local application aborted acknowledged, 0 missing, RST");
    facts.ended_first = first_end::peer; // its FIN was read before
    CHECK(judged(facts) == "local application aborted acknowledged, 0 missing, RST");
    for (const auto why : {dropped, canceled}) {
        auto unasked = aborted(why, sending_phase::open, 20);
        unasked.plan = plans::unasked;
        const std::string cause(name(why));
        CHECK(judged(unasked) == "local " + cause + " aborted unacknowledged, 80 missing, RST");
    }
    const auto midway = aborted(canceled, sending_phase::fin_sent, 100);
    CHECK(judged(midway) == "local canceled degraded unacknowledged, 0 missing, RST");
    auto nothing_left = both_finished();
    nothing_left.plan = plans::abort;
    nothing_left.sample = sampled(101);
    nothing_left.sample.gone = true;
    CHECK(judged(nothing_left) == "local application graceful acknowledged, 0 missing");
}

TEST_CASE("verdict: a wait ends before the peer does, and a close may reset what came late") {
    ending_facts facts = both_finished();
    facts.plan = plans::wait;
    facts.receiving = receiving_phase::discarding;
    CHECK(judged(facts) == "local application delivered acknowledged, 0 missing");
    facts.reset_by_close = true;
    CHECK(judged(facts) == "local application delivered acknowledged, 0 missing, RST");
}

TEST_CASE("verdict: a connection is handed to the application") {
    ending_facts facts = both_finished();
    facts.plan = plans::release;
    facts.sending = sending_phase::open;
    facts.receiving = receiving_phase::open;
    facts.ended_first = first_end::none;
    facts.sample = sampled(100);
    CHECK(judged(facts) == "local application released acknowledged, 0 missing");
    facts.sample.acknowledged = 99;
    CHECK(judged(facts) == "local application released unacknowledged, 1 missing");
}

TEST_CASE("verdict: where the kernel refuses to tell, nothing is claimed") {
    ending_facts facts = both_finished();
    facts.sending = sending_phase::fin_sent;
    CHECK(judged(facts) == "local application graceful unknown");
}

TEST_CASE("verdict: a unix socket tells all or nothing") {
    ending_facts facts = both_finished();
    facts.traits = transports::unix_stream;
    CHECK(judged(facts) == "local application graceful acknowledged, 0 missing");
    facts.sample = {.taken = true, .queued = 700};
    facts.sending = sending_phase::fin_sent;
    CHECK(judged(facts) == "local application graceful unacknowledged");
    facts.sample.queued = 0;
    facts.bytes.handed = 101;
    CHECK(judged(facts) == "local application graceful unacknowledged");
    facts.bytes.handed = 100;
    facts.lost = facts.reset = true; // which has emptied the queue
    CHECK(judged(facts) == "local peer_reset reset unacknowledged");
}

TEST_CASE("verdict: a socket without a connection is closed, whatever happened") {
    using enum teardown_cause;
    for (const auto why : {application, dropped, canceled}) {
        ending_facts facts;
        facts.traits = transports::datagrams;
        facts.aborted_by = why;
        CHECK(judged(facts) == "local " + std::string(name(why)) + " closed unknown");
    }
}
