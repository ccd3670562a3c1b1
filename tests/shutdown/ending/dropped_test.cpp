#include <stdexcept>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Ends that no verb asked for: dropped streams, exceptions, cancelled scopes, loops that end.

TEST_CASE("a dropped stream is aborted, not finished") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("half an ans"));
        CHECK(sent.bytes == 11);
        CHECK(theirs.read() == "half an ans");
        const auto delivery = co_await delivered(ours);
        CHECK(delivery.has_value());
        ours = stream();
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local dropped none aborted acknowledged");
        CHECK(at.only_report().reset_sent);
        CHECK(at.only_report().phase == teardown_phase::open);
        at.check_resets(1);
        CHECK(theirs.read_to_end().error == ECONNRESET);
    });
}

TEST_CASE("a stream dropped with a receive and a send in flight: both end, then it is closed") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(4 << 20);
        std::byte into[64];
        sent outcome;
        result<std::size_t> got;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            in.spawn(receive_into(ours, into, got));
            co_await sleep_for(20ms);
            const stream gone = std::move(ours);
        });
        co_await at.all_reported();
        const auto& report = at.only_report();
        CHECK(row(report) == "local dropped none aborted unacknowledged");
        CHECK(outcome.error == std::errc::operation_canceled);
        CHECK(outcome.bytes == report.sent_bytes);
        CHECK(report.sent_bytes + report.unsent_bytes == answer.size());
        CHECK(got.error() == std::errc::operation_canceled);
        check_claim(report, theirs.arrived());
        at.check_resets(1);
    });
}

TEST_CASE("a stream dropped under a policy to finish is ended in the background") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        ours.on_drop(drop_action::finish, 2s);
        const auto sent = co_await ours.send(text("whole answer"));
        CHECK(sent.bytes == 12);
        ours = stream();
        peer_script reader(at.on, [&] {
            CHECK(theirs.read() == "whole answer");
            CHECK(theirs.read_to_end().finished);
            theirs.finish();
        });
        co_await reader.done();
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local dropped background graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("a stream dropped under a policy to finish keeps to its time") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        ours.on_drop(drop_action::finish, 150ms);
        ours = stream();
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local deadline background degraded acknowledged");
        at.check_near(at.only_report().microseconds.total, 150ms);
        at.check_resets(1);
    });
}

TEST_CASE("a stream dropped after the peer has reset reports the peer's reset") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.reset();
        ours = stream();
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "peer peer_reset none reset acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("an exception that leaves a handler drops its stream, and reaches the scope's join") {
    run([](rig& at) -> task<void> {
        peer theirs;
        bool thrown = false;
        try {
            co_await with_scope([&](scope& in) -> task<void> {
                auto made = at.connect();
                theirs = std::move(made.theirs);
                in.spawn([](stream handled) -> task<void> {
                    const auto sent = co_await handled.send(text("half"));
                    CHECK(sent.bytes == 4);
                    co_await sleep_for(1ms);
                    throw std::runtime_error("handler");
                }(std::move(made.ours)));
                co_return;
            });
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        CHECK(thrown);
        co_await at.all_reported();
        const auto& report = at.only_report();
        CHECK(report.cause == teardown_cause::dropped);
        CHECK(report.ending == actual_ending::aborted);
        CHECK(report.requested == requested_ending::none);
        at.check_resets(1);
        CHECK(theirs.read() == "half");
        CHECK(theirs.read_to_end().error == ECONNRESET);
    });
}

TEST_CASE("a cancelled scope ends the streams of the tasks in it, and the reports say so") {
    run([](rig& at) -> task<void> {
        peer theirs;
        co_await with_scope([&](scope& in) -> task<void> {
            auto made = at.connect();
            theirs = std::move(made.theirs);
            in.spawn([](stream handled) -> task<void> {
                std::byte into[64];
                const auto got = co_await handled.recv(into);
                CHECK(got.error() == std::errc::operation_canceled);
            }(std::move(made.ours)));
            co_await sleep_for(5ms);
            in.cancel();
        });
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local canceled none aborted acknowledged");
        at.check_resets(1);
        CHECK(theirs.read_to_end().error == ECONNRESET);
    });
}

TEST_CASE("a scope cancelled during graceful_close aborts it, and its report is still answered") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::optional<teardown_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](stream& ended, std::optional<teardown_report>& into) -> task<void> {
                into = co_await graceful_close(ended);
            }(ours, report));
            co_await sleep_for(100ms);
            in.cancel();
        });
        REQUIRE(report.has_value());
        CHECK(row(*report) == "local canceled graceful degraded acknowledged");
        CHECK(report->microseconds.total < 2s);
        at.check_resets(1);
    });
}

TEST_CASE("graceful_close in a scope that is cancelled already aborts") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::optional<teardown_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.cancel();
            in.spawn([](stream& ended, std::optional<teardown_report>& into) -> task<void> {
                into = co_await graceful_close(ended);
            }(ours, report));
            co_return;
        });
        REQUIRE(report.has_value());
        CHECK(report->cause == teardown_cause::canceled);
        CHECK(report->ending == actual_ending::degraded);
        at.check_resets(1);
    });
}

TEST_CASE("a loop that ends aborts the connections that are still open, and reports each") {
    std::vector<peer> peers;
    run([&](rig& at) -> task<void> {
        for (int i = 0; i < 3; ++i) {
            auto made = at.connect();
            peers.push_back(std::move(made.theirs));
            at.on.spawn([](stream handled) -> task<void> {
                std::byte into[64];
                const auto got = co_await handled.recv(into);
                CHECK(!got.has_value());
            }(std::move(made.ours)));
        }
        co_await sleep_for(5ms);
        at.at_end([&](const std::vector<teardown_report>& all) {
            REQUIRE(all.size() == 3);
            for (const auto& each : all)
                CHECK(row(each) == "local canceled none aborted acknowledged");
            for (auto& each : peers)
                CHECK(each.read_to_end().error == ECONNRESET);
            peers.clear();
        });
    });
}

TEST_CASE("a loop that ends during an ending in the background aborts it") {
    peer theirs;
    run([&](rig& at) -> task<void> {
        auto made = at.connect();
        theirs = std::move(made.theirs);
        const auto none = co_await close(made.ours, lingering::background(10s));
        CHECK(!none.has_value());
        at.at_end([&](const std::vector<teardown_report>& all) {
            REQUIRE(all.size() == 1);
            CHECK(all[0].cause == teardown_cause::canceled);
            CHECK(all[0].requested == requested_ending::background);
            CHECK(all[0].ending == actual_ending::degraded);
            CHECK(all[0].initiator == teardown_initiator::local);
            theirs = {};
        });
    });
}

TEST_CASE("a stream that outlives its loop's run is ended by it, and says so when used later") {
    std::optional<stream> kept;
    peer theirs;
    run([&](rig& at) -> task<void> {
        auto made = at.connect();
        theirs = std::move(made.theirs);
        kept = std::move(made.ours);
        at.at_end([&](const std::vector<teardown_report>& all) {
            REQUIRE(all.size() == 1);
            CHECK(row(all[0]) == "local canceled none aborted acknowledged");
            kept.reset();
            theirs = {};
        });
        co_return;
    });
}
