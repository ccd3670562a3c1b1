#include "schedule_truth.hpp"

#include <algorithm>

#include "support/framing_layer.hpp"

namespace schedules {
namespace {

using namespace ringdown;

// Everything that is ever sent, so that each place of the stream has its own byte.
std::span<const std::byte> endless() {
    static const std::vector<std::byte> bytes = [] {
        std::vector<std::byte> made(2 << 20);
        for (std::size_t i = 0; i < made.size(); ++i)
            made[i] = static_cast<std::byte>((i * 31 + i / 257) % 253);
        return made;
    }();
    return bytes;
}

// Collects what does not hold.
class judge {
public:
    judge(outcome& result) : result_(result) {}
    void must(bool holds, std::string what) {
        if (!holds) result_.complaints.push_back(std::move(what));
    }

private:
    outcome& result_;
};

void compare_bytes(judge& claim, const teardown_report& report, const traffic& seen,
                   const sim_truth& truth, bool exact) {
    const std::uint64_t accepted = truth.accepted - seen.sent_before;
    const std::uint64_t arrived = std::max(truth.arrived, seen.sent_before) - seen.sent_before;
    claim.must(report.sent_bytes == accepted, "sent_bytes is not what the kernel accepted");
    claim.must(report.sent_bytes + report.unsent_bytes == seen.counted.handed,
               "unsent_bytes does not add up");
    claim.must(report.received_bytes == seen.received_bytes,
               "received_bytes is not what the application got");
    // What nobody had received when the connection went is counted as far as it was known.
    const std::uint64_t counted = report.received_bytes + report.discarded_bytes;
    claim.must(counted >= truth.taken, "bytes that were taken from the kernel are in no count");
    claim.must(counted <= truth.taken + truth.dropped, "bytes are counted twice");
    claim.must(!exact || counted == truth.taken + truth.dropped,
               "bytes that were dropped unread are in no count");
    claim.must(!truth.fin_sent || report.unsent_bytes == 0, "FIN behind bytes that never went");
    bool whole = true;
    for (const traffic::handed& each : seen.handed_over)
        if (each.accepted > 0) whole = each.accepted == each.data.size();
    claim.must(!truth.fin_sent || whole, "FIN behind a send that was cut short");
    const std::uint64_t claimed = report.sent_bytes - report.unacknowledged_bytes.value_or(0);
    claim.must(report.delivery == delivery_verdict::unknown || claimed <= arrived,
               "bytes are called acknowledged that the peer never had");
    if (report.delivery == delivery_verdict::acknowledged)
        claim.must(arrived == accepted && report.unsent_bytes == 0 &&
                       (!truth.fin_sent || truth.fin_arrived || truth.reset_sent),
                   "delivery is called acknowledged and was not");
}

void compare_ends(judge& claim, const teardown_report& report, const sim_truth& truth) {
    claim.must(!report.peer_finished || truth.peer_finished, "peer_finished without a FIN");
    claim.must(!report.reset_received || truth.reset_received, "reset_received without a reset");
    // Where a reset was told of first, it is what ended the connection.
    claim.must(report.peer_finished || !truth.finish_told || report.reset_received ||
                   report.ending == actual_ending::lost,
               "a FIN was told and not reported");
    claim.must(report.reset_received || !truth.reset_told, "a reset was told and not reported");
    claim.must(report.reset_sent || !truth.reset_sent || truth.closed_late,
               "a reset was sent and not reported");
    // Between the sample and the abort the connection may end, or go on to a state in which an
    // abort sends nothing, and no call tells.
    claim.must(!report.reset_sent || truth.reset_sent || truth.reset_received || truth.timed_out ||
                   (truth.peer_finished && truth.fin_sent),
               "reset_sent without a reset");
    if (report.ending == actual_ending::graceful)
        claim.must(truth.fin_acknowledged && truth.peer_finished && !truth.reset_sent &&
                       !truth.reset_received && truth.arrived == truth.accepted,
                   "called graceful and was not");
    if (report.ending == actual_ending::delivered)
        claim.must(truth.fin_acknowledged && truth.arrived == truth.accepted,
                   "called delivered and was not");
    if (report.ending == actual_ending::lost) claim.must(truth.timed_out, "lost without a timeout");
    if (report.ending == actual_ending::reset)
        claim.must(truth.reset_received, "called reset by the peer and was not");
    claim.must(truth.sends_at_once_max <= 1, "two sends at once");
}

// What was handed out is judged as it was then; what came later is the application's doing.
void compare_descriptor(judge& claim, const teardown_report& report, const traffic& seen,
                        const sim_truth& finally) {
    claim.must(finally.closed && !finally.closed_in_use, "closed while an operation was in flight");
    if (!seen.left) return;
    claim.must(!seen.left->closed, "handed out a descriptor that was closed");
    if (report.requested != requested_ending::release) return;
    claim.must(!seen.left->fin_sent || seen.fin_asked, "FIN was sent by a release");
    claim.must(!seen.left->reset_sent || report.ending == actual_ending::aborted ||
                   report.ending == actual_ending::degraded,
               "RST was sent by a release");
}

} // namespace

std::span<const std::byte> traffic::next_to_send(std::size_t size) {
    const auto data = endless().subspan(next_, size);
    next_ += size;
    return data;
}

void traffic::received(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes)
        if (static_cast<char>(byte) != sim_payload(received_bytes++)) {
            complaints.push_back("received a wrong byte");
            return;
        }
}

namespace {

using ringdown::testing::unframe;
using ringdown::testing::unframed;

// What the kernel knows of, in bytes of the application. Of what has left and not arrived it does
// not tell which records it was; of what was dropped unread nobody knows.
sim_truth above_layer(const sim_truth& truth, const teardown_report& report, const traffic& seen,
                      const unframed& arrived) {
    sim_truth plain = truth;
    plain.arrived = arrived.plain.size();
    plain.accepted = truth.accepted == truth.arrived ? plain.arrived : report.sent_bytes;
    plain.taken = unframe(std::string_view(seen.peer_wire).substr(0, truth.taken)).plain.size();
    plain.dropped = 0;
    return plain;
}

void compare_goodbyes(judge& claim, const teardown_report& report, const sim_truth& truth,
                      const traffic& seen, const unframed& arrived) {
    claim.must(arrived.sound, "the peer got a record that is wrong");
    claim.must(!truth.fin_arrived || arrived.goodbye, "FIN without a goodbye");
    claim.must(arrived.plain.size() <= report.sent_bytes, "the peer got more than was sent");
    const unframed came = unframe(std::string_view(seen.peer_wire).substr(0, truth.taken));
    claim.must(report.ending != actual_ending::graceful || came.goodbye,
               "called graceful without the peer's goodbye");
    if (report.ending == actual_ending::delivered && report.peer_finished)
        claim.must(report.cause == teardown_cause::truncated ||
                       (!came.sound && report.cause == teardown_cause::error),
                   "FIN without the peer's goodbye is called whole");
    claim.must(report.cause != teardown_cause::error || report.error || !came.sound,
               "an error without a name");
}

void compare_stream(judge& claim, const traffic& seen, std::string_view arrived) {
    std::size_t at = seen.sent_before;
    for (const traffic::handed& each : seen.handed_over) {
        const std::string_view sent(reinterpret_cast<const char*>(each.data.data()), each.accepted);
        const std::string_view got = arrived.substr(std::min(at, arrived.size()), sent.size());
        claim.must(got == sent.substr(0, got.size()), "the peer got a wrong byte");
        at += sent.size();
    }
    claim.must(arrived.size() <= at, "the peer got more than was accepted");
}

void compare_connection(outcome& result, const traffic& seen, const sim_kernel& kernel) {
    judge claim(result);
    for (const std::string& complaint : seen.complaints)
        claim.must(false, complaint);
    const sim_truth& truth = kernel.truth(seen.connection);
    if (seen.refused) {
        // A peer may reset between two questions of adopt, and nothing else excuses a refusal.
        claim.must(seen.refused == std::errc::not_connected && truth.reset_received,
                   "not adopted: " + seen.refused.message());
        return;
    }
    const auto mine = [&](const teardown_report& each) { return each.connection == seen.number; };
    claim.must(std::ranges::count_if(result.reports, mine) == 1, "not exactly one report");
    const auto report = std::ranges::find_if(result.reports, mine);
    if (report == result.reports.end()) return;

    const sim_truth& judged = seen.left ? *seen.left : truth;
    const std::string_view arrived = kernel.arrived(seen.connection);
    if (seen.layered) {
        const unframed records = unframe(arrived.substr(0, judged.arrived));
        compare_stream(claim, seen, records.plain);
        compare_goodbyes(claim, *report, judged, seen, records);
        compare_bytes(claim, *report, seen, above_layer(judged, *report, seen, records),
                      result.exact);
    } else {
        compare_stream(claim, seen, arrived);
        compare_bytes(claim, *report, seen, judged, result.exact);
    }
    compare_ends(claim, *report, judged);
    compare_descriptor(claim, *report, seen, truth);
    claim.must(report->microseconds.total <= std::chrono::milliseconds(520),
               "ended after its deadline");
}

} // namespace

void compare(outcome& result, const std::vector<traffic>& seen, const sim_kernel& kernel) {
    judge claim(result);
    claim.must(!kernel.hung(), "everything stood still");
    claim.must(kernel.open_descriptors() == 0, "descriptors left open");
    claim.must(kernel.operations_in_flight() == 0, "operations left in the kernel");
    for (const std::string& violation : kernel.violations())
        claim.must(false, violation);
    for (const traffic& each : seen)
        compare_connection(result, each, kernel);
    const auto adopted =
        std::ranges::count_if(seen, [](const traffic& each) { return each.number != 0; });
    claim.must(result.reports.size() == static_cast<std::size_t>(adopted),
               "a report of a connection that was not adopted");
}

} // namespace schedules
