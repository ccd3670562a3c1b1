#include "server_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Drains that something cuts short: another drain, a cancellation, the end of the loop.

namespace {

using phase = server_phase;

task<void> hang(stream&) {
    // Neither receives nor ends.
    co_await sleep_for(1h);
}

} // namespace

TEST_CASE("drain: a second one escalates, and both are answered alike") {
    run([](rig& at) -> task<void> {
        server_rig server(at, hang);
        std::optional<drain_report> first;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            co_await server.until(connection_activity::serving, 1);
            in.spawn(drain_into(server.serving, {.within = 1h}, first));
            co_await sleep_for(30ms);
            const auto asked = at.on.now();
            const drain_report second = co_await server.serving.drain();
            CHECK(at.on.now() - asked < 60s); // and not an hour
            CHECK(second.escalated);
            CHECK(second.stragglers.size() == 1);
            co_await sleep_for(0ms);
            REQUIRE(first.has_value());
            CHECK(first->took == second.took);
            check_drained(server, *first);
            // And a third one, once drained.
            const drain_report third = co_await server.serving.drain({.unready_for = 1h});
            CHECK(third.took == second.took);
            server.serving.escalate();
            CHECK_FALSE(server.serving.call_off());
        });
        CHECK(row(server.reports()[0]) == "local drain abort aborted acknowledged");
    });
}

TEST_CASE("drain: escalated in unready, in the queue's time and while it waits") {
    for (const auto when :
         {phase::unready, phase::not_accepting, phase::asked_to_finish, phase::waiting}) {
        CAPTURE(std::string(name(when)));
        run([when](rig& at) -> task<void> {
            server_rig server(at, echo_unmarked);
            std::optional<drain_report> report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(server.run());
                peer client = server.connect();
                co_await round_trip(at, client, "request");
                const drain_policy policy{
                    .within = 1h,
                    .unready_for = when == phase::unready ? 1h : std::chrono::nanoseconds(0),
                    .notice_for =
                        when == phase::asked_to_finish ? 1h : std::chrono::nanoseconds(0)};
                in.spawn(drain_into(server.serving, policy, report));
                const bool reached =
                    co_await eventually(at, [&] { return server.serving.phase() >= when; });
                CHECK(reached);
                CHECK(server.serving.phase() == when);
                server.serving.escalate();
                CHECK(server.serving.phase() == phase::aborting);
            });
            check_drained(server, *report);
            CHECK(report->escalated);
            CHECK(report->stragglers.size() == 1);
            CHECK(row(server.reports()[0]) == "local drain abort aborted acknowledged");
        });
    }
}

TEST_CASE("drain: cancelled, it escalates and is answered") {
    run([](rig& at) -> task<void> {
        server_rig server(at, hang);
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            co_await server.until(connection_activity::serving, 1);
            auto drain = server.serving.drain({.within = 1h});
            const auto report = co_await with_deadline(at.on.now() + 30ms, std::move(drain));
            check_drained(server, report);
            CHECK(report.escalated);
        });
    });
}

TEST_CASE("drain: the loop ends in its midst, everything is joined and reported") {
    run([](rig& at) -> task<void> {
        auto server = std::make_shared<server_rig>(at, hang);
        auto report = std::make_shared<std::optional<drain_report>>();
        at.at_end([server, report](const std::vector<teardown_report>& reports) {
            CHECK(reports.size() == 3);
            REQUIRE(report->has_value());
            check_drained(*server, **report);
            CHECK((*report)->escalated);
        });
        at.on.spawn([](std::shared_ptr<server_rig> kept) -> task<void> {
            (void)co_await kept->serving.run();
        }(server));
        std::vector<peer> clients;
        for (int i = 0; i < 3; ++i)
            clients.push_back(server->connect());
        co_await server->until(connection_activity::serving, 3);
        at.on.spawn([](std::shared_ptr<server_rig> kept,
                       std::shared_ptr<std::optional<drain_report>> into) -> task<void> {
            co_await drain_into(kept->serving, {.within = 1h}, *into);
        }(server, report));
        co_await sleep_for(20ms);
    });
}

TEST_CASE("drain: run is cancelled in its midst, both are answered") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo_unmarked);
        std::optional<drain_report> report;
        peer client;
        co_await with_scope([&](scope& outer) -> task<void> {
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(server.serving.run());
                client = server.connect();
                co_await round_trip(at, client, "request");
                outer.spawn(drain_into(server.serving, {.within = 1h}, report));
                co_await sleep_for(30ms);
                in.cancel();
            });
        });
        check_drained(server, *report);
        CHECK(report->stragglers.empty());
        CHECK(report->connections.count(teardown_cause::canceled) == 1);
    });
}
