#include "server_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// A connection outlives its handler when that passes it on, as for an upgraded protocol.

namespace {

task<void> close_into(stream& of, teardown_report& into) { into = co_await graceful_close(of); }

} // namespace

TEST_CASE("drain: a connection that its handler has passed on is waited for, and it is reported") {
    for (const bool ends_in_time : {true, false}) {
        CAPTURE(ends_in_time);
        run([&](rig& at) -> task<void> {
            std::vector<stream> upgraded;
            server_rig server(at, [&](stream& accepted) -> task<void> {
                upgraded.push_back(std::move(accepted));
                co_return;
            });
            std::optional<drain_report> report;
            teardown_report closed;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(server.run());
                auto client = server.connect();
                const bool passed_on =
                    co_await eventually(at, [&] { return upgraded.size() == 1; });
                REQUIRE(passed_on);
                in.spawn(drain_into(server.serving, {.within = 80ms}, report));
                co_await sleep_for(20ms);
                CHECK_FALSE(report.has_value());
                CHECK(server.serving.open() == 1);
                if (ends_in_time) {
                    in.spawn(close_into(upgraded.front(), closed));
                    client.finish();
                }
                const bool drained = co_await eventually(at, [&] { return report.has_value(); });
                CHECK(drained);
            });
            REQUIRE(report.has_value());
            check_drained(server, *report);
            CHECK(report->stragglers.size() == (ends_in_time ? 0 : 1));
            CHECK(report->connections.reports == 1);
            const std::string expected = ends_in_time
                                             ? "local application graceful graceful acknowledged"
                                             : "local drain abort aborted acknowledged";
            CHECK(row(server.reports().front()) == expected);
            if (!ends_in_time) CHECK(report->took >= 80ms);
            at.check_resets(ends_in_time ? 0 : 1);
        });
    }
}

TEST_CASE("drain: its report is that of its connections, added up, the times as well") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            {
                auto before = co_await server.idle_client(); // not one of the drain's
                before.finish();
                const bool reported =
                    co_await eventually(at, [&] { return server.reports().size() == 1; });
                CHECK(reported);
            }
            auto prompt = co_await server.idle_clients(3);
            auto silent = co_await server.idle_client();
            in.spawn(drain_into(server.serving, {.within = 80ms}, report));
            for (peer& each : prompt) {
                co_await sees_fin(at, each);
                each.finish();
            }
            const bool drained = co_await eventually(at, [&] { return report.has_value(); });
            CHECK(drained);
        });
        REQUIRE(report.has_value());
        check_drained(server, *report);
        teardown_counters sum;
        for (std::size_t i = 1; i < server.reports().size(); ++i)
            sum.add(server.reports()[i]);
        CHECK(server.reports().size() == 5);
        CHECK(report->connections.reports == 4);
        CHECK(report->connections.count(actual_ending::graceful) == 3);
        CHECK(report->connections.count(actual_ending::degraded) == 1);
        CHECK(report->connections.count(teardown_cause::drain) == 3);
        CHECK(report->connections.microseconds.total.counts() == sum.microseconds.total.counts());
        CHECK(report->connections.microseconds.total.sum() == sum.microseconds.total.sum());
        CHECK(report->connections.bytes.sent == sum.bytes.sent);
        at.check_resets(1);
    });
}
