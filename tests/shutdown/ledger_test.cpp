#include <numeric>

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
        const teardown_report report = co_await ended(second.ours.connection_of());
        CHECK(report.ending == actual_ending::graceful);
        CHECK(order.size() == 2);
        CHECK(ledger(at.on).counters().reports == 2);
    });
}
