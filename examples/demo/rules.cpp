#include "rules.hpp"

#include "kinds.hpp"
#include "text.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace ringdown_demo {

namespace {

using namespace std::chrono_literals;

// What the server promises; the peers are made for these.
constexpr auto idle_time = 700ms;
constexpr auto deadline = 1500ms;
constexpr std::uint64_t discard_bytes_max = 1024 * 1024;
// The server's timers may run off a time that its loop read a little earlier.
constexpr auto timer_step = 25ms;
// So long after the acknowledgement of a peer's FIN, a server that always reads has seen it.
constexpr auto surely_noticed = 200ms;

class findings {
public:
    /// Of whom the next sentences speak.
    void speak_of(std::string_view subject) { subject_ = subject; }

    template <class... Args>
    void expect(bool holds, fmt::format_string<Args...> otherwise, Args&&... args) {
        if (!holds) {
            all_.push_back(fmt::format("{} {}", subject_,
                                       fmt::format(otherwise, std::forward<Args>(args)...)));
        }
    }
    [[nodiscard]] std::vector<std::string> take() { return std::move(all_); }

private:
    std::string_view subject_;
    std::vector<std::string> all_;
};

bool one_of(std::string_view value, std::initializer_list<std::string_view> values) {
    return std::ranges::find(values, value) != values.end();
}

bool asked_graceful(const report& said) {
    return one_of(said.requested, {"graceful", "background", "wait"});
}

// Whether it lasted long enough for the server to have ended it unasked.
bool may_end_by_itself(const record& seen, const run_times& times) {
    return seen.over >= times.drained || seen.over - seen.opened >= idle_time - timer_step;
}

void check_bytes(findings& found, const report& said, const record& seen) {
    const auto unacknowledged = said.unacknowledged_bytes.value_or(said.sent_bytes);
    found.expect(unacknowledged <= said.sent_bytes,
                 "says that more bytes are unacknowledged than were sent");
    const auto claimed = said.sent_bytes - std::min(unacknowledged, said.sent_bytes);
    found.expect(claimed <= seen.heard(),
                 "claims {} bytes acknowledged, but its peer's kernel had {}", grouped(claimed),
                 grouped(seen.heard()));
    found.expect(seen.heard() <= said.sent_bytes,
                 "says that {} bytes were sent, but its peer's kernel had {}",
                 grouped(said.sent_bytes), grouped(seen.heard()));
    // FIN comes after every byte that the server's kernel accepted.
    found.expect(!seen.end_received || seen.heard() == said.sent_bytes,
                 "says that {} bytes were sent, but its peer had {} and then the end",
                 grouped(said.sent_bytes), grouped(seen.heard()));

    const auto taken = said.received_bytes + said.discarded_bytes;
    found.expect(taken <= seen.written,
                 "says that {} bytes were received or discarded, but its peer wrote {}",
                 grouped(taken), grouped(seen.written));
    found.expect(!seen.clean() || taken == seen.written,
                 "accounts for {} of the {} bytes that its peer wrote before both finished",
                 grouped(taken), grouped(seen.written));
}

void check_delivery(findings& found, const report& said, const record& seen) {
    const bool acknowledged = said.delivery == "acknowledged";
    found.expect(!acknowledged || (said.unacknowledged_bytes == 0 && said.unsent_bytes == 0),
                 "calls delivery 'acknowledged' with bytes unacknowledged or unsent");
    found.expect(said.delivery != "unacknowledged" || said.unacknowledged_bytes.has_value(),
                 "calls delivery 'unacknowledged' of an unknown number of bytes");
    found.expect(!said.microseconds.fin_acknowledged || seen.end_received,
                 "says that FIN was acknowledged, but it never reached its peer's kernel");
    // FIN follows the last byte at once: out of time with an empty queue means that FIN, too,
    // was acknowledged.
    const bool out_of_time = one_of(said.cause, {"deadline", "idle", "network_timeout"});
    found.expect(!(acknowledged && asked_graceful(said) && out_of_time) || seen.end_received,
                 "calls delivery 'acknowledged', but FIN never reached its peer's kernel");
}

void check_ending(findings& found, const report& said, const record& seen) {
    if (said.ending == "graceful") {
        found.expect(!said.reset_sent && !said.reset_received && said.peer_finished &&
                         said.delivery == "acknowledged",
                     "calls it 'graceful' and contradicts that itself");
        found.expect(!seen.reset_seen, "calls it 'graceful', but its peer saw a reset");
        found.expect(seen.end_received, "calls it 'graceful', but FIN never reached its peer");
        found.expect(seen.finished, "calls it 'graceful', but its peer never sent FIN");
        found.expect(seen.ended != own_end::reset, "calls it 'graceful', but its peer reset it");
    }
    found.expect(!seen.clean() || said.ending == "graceful",
                 "calls it '{}', but both FINs arrived and nobody reset", said.ending);
    found.expect(said.ending != "reset" || said.reset_received,
                 "calls it 'reset' without a reset received");
    found.expect(said.ending != "reset" || said.cause == "peer_reset",
                 "calls it 'reset', and gives '{}' as cause", said.cause);
    found.expect(said.ending != "lost" || seen.ended == own_end::vanished,
                 "calls it 'lost', but its peer was there all the time");
    found.expect(said.ending != "degraded" || asked_graceful(said),
                 "calls it 'degraded', but was asked for as '{}'", said.requested);
    found.expect(said.ending != "aborted" || !asked_graceful(said),
                 "calls it 'aborted', but was asked for as '{}'", said.requested);
    found.expect(said.ending != "delivered" || said.requested == "wait",
                 "calls it 'delivered', but was asked for as '{}'", said.requested);
    found.expect(said.ending != "closed", "calls it 'closed', which TCP connections cannot be");
}

void check_resets(findings& found, const report& said, const record& seen, const run_times& times) {
    found.expect(!(said.reset_sent && said.reset_received),
                 "says that both sides reset; the first of two ends the connection");
    if (seen.reset_seen) {
        found.expect(said.reset_sent, "says that no reset was sent, but its peer saw one");
        found.expect(one_of(said.ending, {"degraded", "aborted", "graceful"}),
                     "calls it '{}', but the server reset it", said.ending);
    }
    if (seen.ended != own_end::reset) {
        found.expect(!said.reset_received, "says that its peer reset it, which it did not");
        const bool unheard = seen.ended == own_end::vanished;
        found.expect(!said.reset_sent || seen.reset_seen || unheard,
                     "says that a reset was sent, but its peer saw none");
        return;
    }
    if (may_end_by_itself(seen, times)) {
        found.expect(said.reset_sent || said.reset_received,
                     "says that nobody reset it, but its peer did");
    } else {
        found.expect(said.reset_received && said.ending == "reset",
                     "calls it '{}', reset received: {}; but its peer reset it", said.ending,
                     said.reset_received);
    }
}

void check_who_ended(findings& found, const report& said, const record& seen) {
    found.expect(seen.finished || (!said.peer_finished && !said.microseconds.peer_finished),
                 "says that its peer finished, which it never did");
    const bool finished_long_ago =
        seen.finish_acknowledged && seen.over - *seen.finish_acknowledged >= surely_noticed;
    const bool is_read = all_kinds()[seen.kind].request == request_kind::answer;
    found.expect(said.peer_finished || !finished_long_ago || !is_read,
                 "says that its peer did not finish, but its FIN was acknowledged long before");

    const bool names_peer = one_of(said.initiator, {"peer", "both"});
    const bool peer_ended = seen.finished || seen.ended == own_end::reset;
    found.expect(!names_peer || peer_ended, "names '{}' as initiator, but its peer ended nothing",
                 said.initiator);
    found.expect(!names_peer || !peer_ended || !seen.ended_after_end,
                 "names '{}' as initiator, but its peer had read the server's FIN by then",
                 said.initiator);
    found.expect(said.cause != "peer_finished" || said.initiator != "local",
                 "gives 'peer_finished' as cause and 'local' as initiator");
}

void check_cause(findings& found, const report& said, const record& seen, const run_times& times) {
    const bool before_drain = seen.over < times.drained;
    const auto lifetime = seen.over - seen.opened;
    found.expect(said.cause != "peer_reset" || seen.ended == own_end::reset,
                 "gives 'peer_reset' as cause, but its peer never reset");
    found.expect(!one_of(said.cause, {"peer_finished", "truncated"}) || seen.finished,
                 "gives '{}' as cause, but its peer never finished", said.cause);
    found.expect(said.cause != "drain" || !before_drain,
                 "gives 'drain' as cause, but it was over before that");
    found.expect(said.cause != "network_timeout" || seen.ended == own_end::vanished,
                 "gives 'network_timeout' as cause, but its peer was there all the time");
    found.expect(said.cause != "discard_limit" || seen.written >= discard_bytes_max,
                 "gives 'discard_limit' as cause, but its peer wrote {} bytes only",
                 grouped(seen.written));
    found.expect(said.cause != "idle" || !before_drain || lifetime >= idle_time - timer_step,
                 "gives 'idle' as cause, but it was over sooner");
    found.expect(said.cause != "deadline" || !before_drain || lifetime >= deadline - timer_step,
                 "gives 'deadline' as cause, but it was over sooner");
}

// An end of stream after part of an answer looks complete to the peer, so it must not exist.
void check_answer(findings& found, const report& said, const record& seen, const run_times& times) {
    switch (all_kinds()[seen.kind].request) {
    case request_kind::none:
        found.expect(seen.heard() == 0, "sent {} bytes that nobody asked for",
                     grouped(seen.heard()));
        break;
    case request_kind::echo:
        found.expect(seen.heard() <= seen.amount, "echoed {} bytes, of {} at most",
                     grouped(seen.heard()), grouped(seen.amount));
        found.expect(!seen.clean() || said.cause != "peer_finished" || seen.heard() == seen.amount,
                     "echoed {} of {} bytes and then the end", grouped(seen.heard()),
                     grouped(seen.amount));
        break;
    case request_kind::answer: {
        // The request came when the server was ending the connection already.
        const bool unserved = seen.heard() == 0 && may_end_by_itself(seen, times);
        found.expect(!seen.end_received || seen.heard() == seen.amount || unserved,
                     "answered with {} of {} bytes and then the end", grouped(seen.heard()),
                     grouped(seen.amount));
        found.expect(seen.heard() <= seen.amount, "answered with {} bytes instead of {}",
                     grouped(seen.heard()), grouped(seen.amount));
        break;
    }
    }
}

void check_times(findings& found, const report& said, const record& seen, const run_times& times) {
    const auto& spent = said.microseconds;
    found.expect(spent.flush.value_or(0) <= spent.total &&
                     spent.fin_acknowledged.value_or(0) <= spent.total &&
                     spent.peer_finished.value_or(0) <= spent.total,
                 "gives a time that is longer than the total");
    found.expect(std::chrono::microseconds(spent.total) <= times.ended - seen.opened,
                 "says that ending took {} µs, longer than the connection can have lasted",
                 grouped(spent.total));
}

} // namespace

std::vector<std::string> disagreements(const report& said, const record& seen,
                                       const run_times& times) {
    findings found;
    found.speak_of("the report");
    check_bytes(found, said, seen);
    check_delivery(found, said, seen);
    check_ending(found, said, seen);
    check_resets(found, said, seen, times);
    check_who_ended(found, said, seen);
    check_cause(found, said, seen, times);
    check_times(found, said, seen, times);
    found.speak_of("the server");
    check_answer(found, said, seen, times);
    return found.take();
}

} // namespace ringdown_demo
