#include "support/fixture.hpp"

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// More endings at once than the queues of the ring hold.

namespace {

constexpr std::size_t many = 2'000;

loop_options tiny() {
    loop_options options;
    options.ring.entries = 8;
    options.ring.completion_entries = 16;
    return options;
}

task<void> count_ending(stream& ended, actual_ending expected, std::size_t& as_expected) {
    const auto& report = co_await graceful_close(ended, {.within = 10s});
    if (report.ending == expected) ++as_expected;
}

// The peers finish first, or follow, or half of them reset.
task<void> end_all(rig& at, bool peers_first) {
    allow_descriptors();
    std::vector<conversation> all;
    for (std::size_t i = 0; i < many; ++i)
        all.push_back(at.connect());
    std::size_t graceful = 0, reset = 0;
    for (auto& each : all)
        each.theirs.write("request");
    for (std::size_t i = 0; peers_first && i < many; ++i) {
        if (i % 2)
            all[i].theirs.finish();
        else
            all[i].theirs.reset();
    }
    peer_script followers(at.on, [&] {
        if (peers_first) return;
        for (std::size_t i = 0; i < many; ++i) {
            while (!all[i].theirs.read_to_end().finished) {
            }
            all[i].theirs.finish();
        }
    });
    co_await with_scope([&](scope& in) -> task<void> {
        for (std::size_t i = 0; i < many; ++i) {
            const bool resets = peers_first && i % 2 == 0;
            in.spawn(count_ending(all[i].ours,
                                  resets ? actual_ending::reset : actual_ending::graceful,
                                  resets ? reset : graceful));
        }
        co_return;
    });
    co_await followers.done();
    CHECK(graceful == (peers_first ? many / 2 : many));
    CHECK(reset == (peers_first ? many / 2 : 0));
    CHECK(ledger(at.on).counters().reports == many);
    at.check_resets(0);
}

} // namespace

TEST_CASE("2,000 endings at once on tiny queues: we finish first, none is lost") {
    run(
        [](rig& at) -> task<void> {
            co_await end_all(at, false);
            CHECK(at.on.statistics().queue_full > 0);
            CHECK(at.on.statistics().overflows > 0);
        },
        tiny());
}

TEST_CASE("2,000 endings at once on tiny queues: the peers finished or reset first") {
    run(
        [](rig& at) -> task<void> {
            co_await end_all(at, true);
            CHECK(at.on.statistics().overflows > 0);
        },
        tiny());
}

TEST_CASE("2,000 endings at once on tiny queues, FIN as a ring operation") {
    auto options = tiny();
    options.fin = fin_method::operation;
    run(
        [](rig& at) -> task<void> {
            co_await end_all(at, false);
            CHECK(at.on.statistics().overflows > 0);
        },
        options);
}

TEST_CASE("2,000 aborts at once on tiny queues, receives in flight on each") {
    run(
        [](rig& at) -> task<void> {
            std::vector<conversation> all;
            for (std::size_t i = 0; i < many; ++i)
                all.push_back(at.connect());
            std::vector<std::array<std::byte, 16>> into(many);
            std::vector<result<std::size_t>> got(many);
            co_await with_scope([&](scope& in) -> task<void> {
                for (std::size_t i = 0; i < many; ++i)
                    in.spawn(receive_into(all[i].ours, into[i], got[i]));
                co_await sleep_for(10ms);
                for (auto& each : all)
                    each.ours = stream();
            });
            co_await at.all_reported();
            for (const auto& each : got)
                CHECK(each.error() == std::errc::operation_canceled);
            CHECK(ledger(at.on).counters().count(actual_ending::aborted) == many);
            at.check_resets(many);
            CHECK(at.on.statistics().overflows > 0);
        },
        tiny());
}

TEST_CASE("an ending with every capability masked does the same") {
    loop_options options;
    for (const capability each : all_capabilities())
        options.ring.disabled.add(each);
    run(
        [](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            const auto leased = pattern(30'000);
            theirs.write_pattern(5);
            {
                const auto lease = co_await ours.recv_lease();
                CHECK(lease.has_value());
            }
            const auto sent = co_await ours.send(leased);
            CHECK(sent.bytes == leased.size());
            peer_script reader(at.on, [&] {
                CHECK(theirs.read_to_end().finished);
                theirs.write_pattern(1'000);
                theirs.finish();
            });
            const teardown_report report = co_await graceful_close(ours);
            co_await reader.done();
            CHECK(row(report) == "local application graceful graceful acknowledged");
            CHECK(report.received_bytes + report.discarded_bytes == 1'005);

            auto [second, silent] = at.connect();
            const teardown_report other = co_await graceful_close(second, {.within = 100ms});
            CHECK(row(other) == "local deadline graceful degraded acknowledged");
            at.check_resets(1);
        },
        options);
}

TEST_CASE("each capability masked alone: a graceful ending and an abort still tell the truth") {
    for (const capability masked : all_capabilities()) {
        CAPTURE(std::string(name(masked)));
        loop_options options;
        options.ring.disabled.add(masked);
        run(
            [](rig& at) -> task<void> {
                auto [ours, theirs] = at.connect();
                const auto sent = co_await ours.send_zero_copy(text("answer"));
                CHECK(sent.bytes == 6);
                theirs.write("request");
                theirs.finish();
                const teardown_report report = co_await graceful_close(ours);
                CHECK(report.ending == actual_ending::graceful);
                CHECK(report.discarded_bytes == 7);
                auto [second, other] = at.connect();
                const teardown_report aborted = co_await abort_close(second);
                CHECK(row(aborted) == "local application abort aborted acknowledged");
                at.check_resets(1);
            },
            options);
    }
}
