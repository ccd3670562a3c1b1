#include <numeric>
#include <thread>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

namespace {

template <std::size_t N>
std::uint64_t total(const std::array<std::uint64_t, N>& of) {
    return std::accumulate(of.begin(), of.end(), std::uint64_t{0});
}

void check_sums(const teardown_counters& of) {
    CHECK(total(of.by_initiator) == of.reports);
    CHECK(total(of.by_cause) == of.reports);
    CHECK(total(of.by_ending) == of.reports);
    CHECK(total(of.by_delivery) == of.reports);
}

} // namespace

TEST_CASE("ledger: every end of a mixed lot is entered once, and each group adds up") {
    run([](rig& at) -> task<void> {
        const teardown_counters& counters = ledger(at.on).counters();
        CHECK(counters.reports == 0);

        auto graceful = at.connect();
        graceful.theirs.finish();
        co_await graceful_close(graceful.ours);
        auto aborted = at.connect();
        co_await abort_close(aborted.ours);
        auto degraded = at.connect();
        co_await graceful_close(degraded.ours, {.within = 50ms});
        auto reset = at.connect();
        reset.theirs.reset();
        co_await graceful_close(reset.ours);
        auto waited = at.connect();
        co_await close(waited.ours, lingering::wait(2s));
        auto background = at.connect();
        background.theirs.finish();
        co_await close(background.ours, lingering::background(2s));
        auto dropped = at.connect();
        dropped.ours = stream();
        co_await at.all_reported();

        CHECK(counters.reports == 7);
        check_sums(counters);
        CHECK(counters.count(actual_ending::graceful) == 2);
        CHECK(counters.count(actual_ending::aborted) == 2);
        CHECK(counters.count(actual_ending::degraded) == 1);
        CHECK(counters.count(actual_ending::reset) == 1);
        CHECK(counters.count(actual_ending::delivered) == 1);
        CHECK(counters.count(teardown_cause::deadline) == 1);
        CHECK(counters.count(teardown_cause::dropped) == 1);
        CHECK(counters.count(teardown_cause::peer_reset) == 1);
        CHECK(counters.count(teardown_initiator::peer) == 1);
        CHECK(counters.count(delivery_verdict::acknowledged) >= 6);

        teardown_counters sum;
        sum.add(counters);
        sum.add(counters);
        CHECK(sum.reports == 14);
        check_sums(sum);
        CHECK(sum.count(actual_ending::graceful) == 4);
    });
}

TEST_CASE("ledger: bytes and times add up to those of the reports") {
    run([](rig& at) -> task<void> {
        auto graceful = at.connect();
        const auto sent = co_await graceful.ours.send(text("four"));
        CHECK(sent);
        graceful.theirs.write("to be discarded");
        graceful.theirs.finish();
        co_await graceful_close(graceful.ours);
        auto aborted = at.connect();
        co_await abort_close(aborted.ours);
        auto degraded = at.connect();
        co_await graceful_close(degraded.ours, {.within = 30ms});

        teardown_counters::byte_totals bytes;
        std::chrono::microseconds total{0};
        std::uint64_t flushed = 0, acknowledged = 0, finished = 0;
        for (const teardown_report& each : at.reports()) {
            bytes.sent += each.sent_bytes;
            bytes.unsent += each.unsent_bytes;
            bytes.unacknowledged += each.unacknowledged_bytes.value_or(0);
            bytes.received += each.received_bytes;
            bytes.discarded += each.discarded_bytes;
            total += each.microseconds.total;
            flushed += each.microseconds.flush.has_value();
            acknowledged += each.microseconds.fin_acknowledged.has_value();
            finished += each.microseconds.peer_finished.has_value();
        }
        const teardown_counters& counters = ledger(at.on).counters();
        CHECK(bytes.sent == 4);
        CHECK(bytes.discarded == 15);
        CHECK(counters.bytes.sent == bytes.sent);
        CHECK(counters.bytes.unsent == bytes.unsent);
        CHECK(counters.bytes.unacknowledged == bytes.unacknowledged);
        CHECK(counters.bytes.received == bytes.received);
        CHECK(counters.bytes.discarded == bytes.discarded);
        CHECK(counters.microseconds.total.count() == 3);
        CHECK(counters.microseconds.total.sum() == total);
        CHECK(flushed == 2);
        CHECK(finished == 1);
        CHECK(counters.microseconds.flush.count() == flushed);
        CHECK(counters.microseconds.fin_acknowledged.count() == acknowledged);
        CHECK(counters.microseconds.peer_finished.count() == finished);
        // The one that ran into its deadline took the longest.
        CHECK(*counters.microseconds.total.quantile(1) >= 26ms);
    });
}

TEST_CASE("ledger: what was counted earlier is taken away, also of bytes and times") {
    teardown_report first;
    first.sent_bytes = 100;
    first.microseconds.total = 50us;
    first.microseconds.flush = 10us;
    teardown_report second;
    second.unsent_bytes = 7;
    second.unacknowledged_bytes.reset();
    second.microseconds.total = 3s;
    teardown_counters counters;
    counters.add(first);
    const teardown_counters earlier = counters;
    counters.add(second);
    counters.subtract(earlier);
    CHECK(counters.reports == 1);
    check_sums(counters);
    CHECK(counters.bytes.sent == 0);
    CHECK(counters.bytes.unsent == 7);
    CHECK(counters.microseconds.total.count() == 1);
    CHECK(counters.microseconds.total.sum() == 3s);
    CHECK(counters.microseconds.flush.count() == 0);
}

TEST_CASE("ledger: another thread reads the counters on the loop's own") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.finish();
        co_await graceful_close(ours);

        const auto own_thread = std::this_thread::get_id();
        teardown_counters read;
        event got;
        std::jthread other([&] {
            read_counters(at.on, [&](const teardown_counters& now) {
                CHECK(std::this_thread::get_id() == own_thread);
                read = now;
                got.set();
            });
        });
        co_await got.join();
        CHECK(read.reports == 1);
        CHECK(read.count(actual_ending::graceful) == 1);
        CHECK(read.microseconds.total.count() == 1);
    });
}

TEST_CASE("ledger: of several loops each has its own") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        {
            loop other;
            CHECK(ledger(other).counters().reports == 0);
            CHECK(&ledger(other) != &ledger(at.on));
        }
        theirs.finish();
        co_await graceful_close(ours);
        CHECK(ledger(at.on).counters().reports == 1);
    });
}

TEST_CASE("ledger: its report is the one that the task gets, and comes no later") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.finish();
        const teardown_report told = co_await graceful_close(ours);
        const teardown_report& entered = at.only_report();
        CHECK(entered.connection == told.connection);
        CHECK(row(entered) == row(told));
        CHECK(entered.microseconds.total == told.microseconds.total);
        CHECK(entered.peer == told.peer);
    });
}

TEST_CASE("ledger: a sink may begin another connection's ending") {
    run([](rig& at) -> task<void> {
        auto first = at.connect();
        auto second = at.connect();
        std::vector<std::uint64_t> order;
        at.has_no_sink();
        ledger(at.on).on_report([&](const teardown_report& each) {
            order.push_back(each.connection);
            if (order.size() == 1) begin_ending(second.ours, {});
        });
        second.theirs.finish();
        first.theirs.finish();
        co_await graceful_close(first.ours);
        const teardown_report report = co_await ended(second.ours);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(order.size() == 2);
        CHECK(ledger(at.on).counters().reports == 2);
    });
}
