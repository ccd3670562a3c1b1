#include "server_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// A drain from its beginning to its end: phases, deadline, the accept queue.

namespace {

using phase = server_phase;

constexpr bool legal_moves_are(std::initializer_list<std::pair<server_phase, server_phase>> all) {
    for (int from = 0; from < static_cast<int>(server_phases); ++from)
        for (int to = 0; to < static_cast<int>(server_phases); ++to) {
            bool listed = false;
            for (const auto& [one, other] : all)
                listed = listed || (static_cast<int>(one) == from && static_cast<int>(other) == to);
            const auto a = static_cast<server_phase>(from);
            if (legal(a, static_cast<server_phase>(to)) != listed) return false;
        }
    return true;
}

static_assert(legal_moves_are({{phase::serving, phase::unready},
                               {phase::unready, phase::serving},
                               {phase::unready, phase::not_accepting},
                               {phase::unready, phase::aborting},
                               {phase::not_accepting, phase::asked_to_finish},
                               {phase::not_accepting, phase::aborting},
                               {phase::asked_to_finish, phase::waiting},
                               {phase::asked_to_finish, phase::aborting},
                               {phase::waiting, phase::aborting},
                               {phase::waiting, phase::drained},
                               {phase::aborting, phase::drained}}));

task<void> hang(stream&) {
    // Neither receives nor ends.
    co_await sleep_for(1h);
}

} // namespace

TEST_CASE("drain: an empty server is drained at once, in every phase once") {
    run([](rig& at) -> task<void> {
        std::vector<server_phase> seen;
        server_options options;
        options.on_phase = [&](server_phase entered) -> task<void> {
            seen.push_back(entered);
            co_return;
        };
        server_rig server(at, echo, options);
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            CHECK(server.serving.ready());
            const drain_report report = co_await server.serving.drain({.notice_for = 1h});
            check_drained(server, report);
            CHECK(report.took < 10s);
            CHECK_FALSE(report.escalated);
        });
        CHECK(seen == std::vector{phase::unready, phase::not_accepting, phase::asked_to_finish,
                                  phase::waiting, phase::drained});
        CHECK(server.has_run());
    });
}

TEST_CASE("drain: before run it waits for nobody, and run ends at once") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        CHECK_FALSE(server.serving.ready());
        const drain_report report = co_await server.serving.drain();
        check_drained(server, report);
        co_await server.run();
        CHECK(server.has_run());
    });
}

TEST_CASE("drain: before run, who waits in the queue is served when it runs") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        peer client = server.connect();
        client.write("request");
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(drain_into(server.serving,
                                {.within = 2s, .notice_for = 0s, .first_request_within = 0s},
                                report));
            const bool waits =
                co_await eventually(at, [&] { return server.serving.phase() == phase::waiting; });
            CHECK(waits);
            CHECK(server.serving.accepts() == 1);
            in.spawn(server.run());
            co_await sees_fin(at, client);
            CHECK(client.read() == "request");
            client.close();
        });
        check_drained(server, *report);
        CHECK(report->stragglers.empty());
    });
}

TEST_CASE("drain: of a server that never runs, who waits is reset at the deadline") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        peer client = server.connect();
        at.expect_report_at(server.serving.local()); // no handler tells the rig of it
        const drain_report report = co_await server.serving.drain({.within = 50ms});
        check_drained(server, report);
        REQUIRE(report.stragglers.size() == 1);
        CHECK(report.stragglers[0].peer == client.local());
        CHECK(row(server.reports()[0]) == "local drain abort aborted acknowledged");
        CHECK(client.read().empty());
        CHECK(client.last_error() == ECONNRESET);
    });
}

TEST_CASE("drain: in unready it still accepts, and is not ready") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            const drain_policy policy{.unready_for = 60ms, .first_request_within = 0s};
            in.spawn(drain_into(server.serving, policy, report));
            co_await sleep_for(5ms);
            CHECK(server.serving.phase() == phase::unready);
            CHECK_FALSE(server.serving.ready());
            peer late = server.connect();
            co_await round_trip(at, late, "still here");
            CHECK(server.serving.phase() == phase::unready);
            co_await sees_fin(at, late);
            late.close();
        });
        check_drained(server, *report);
        CHECK(report->accepts == 1);
        CHECK(report->time_in(phase::unready) >= 60ms);
        CHECK(row(server.reports()[0]) == "local drain graceful graceful acknowledged");
    });
}

TEST_CASE("drain: who waits in the accept queue is served, newcomers are refused") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        std::vector<peer> clients;
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            for (int i = 0; i < 50; ++i) {
                clients.push_back(server.connect());
                clients.back().write("request");
            }
            in.spawn(drain_into(server.serving, {}, report));
            const bool closing = co_await eventually(
                at, [&] { return server.serving.phase() >= phase::asked_to_finish; });
            CHECK(closing);
            CHECK((co_await connect(at.on, server.serving.local())).error() ==
                  std::errc::connection_refused);
            at.expect_kernels_resets(1); // the refusal
            for (peer& each : clients) {
                co_await sees_fin(at, each);
                CHECK(each.read() == "request");
                each.close();
            }
        });
        check_drained(server, *report);
        CHECK(report->accepts == 50);
        CHECK(report->connections.count(actual_ending::graceful) == 50);
    });
}

TEST_CASE("drain: the deadline is kept, and who is left is named") {
    run([](rig& at) -> task<void> {
        server_rig server(at, hang);
        std::vector<peer> clients;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            for (int i = 0; i < 5; ++i)
                clients.push_back(server.connect());
            co_await server.until(connection_activity::serving, 5);
            const auto begun = at.on.now();
            const drain_report report = co_await server.serving.drain(
                {.within = 1h, .deadline = begun + 80ms, .notice_for = 0s});
            at.check_near(std::chrono::duration_cast<std::chrono::microseconds>(report.took), 80ms);
            check_drained(server, report);
            CHECK_FALSE(report.escalated);
            REQUIRE(report.stragglers.size() == 5);
            for (std::size_t i = 0; i < 5; ++i) {
                CHECK(report.stragglers[i].peer == clients[i].local());
                CHECK(report.stragglers[i].waits_for() == "handler");
                CHECK(report.stragglers[i].age >= 80ms);
                CHECK(report.stragglers[i].connection == server.reports()[i].connection);
            }
            CHECK(report.connections.count(teardown_cause::drain) == 5);
            CHECK(report.time_in(phase::waiting) > 0ms);
        });
        at.check_resets(5);
    });
}

TEST_CASE("drain: every wait is cut short by the deadline") {
    const auto ends_at_deadline = [](drain_policy policy) {
        run([&](rig& at) -> task<void> {
            server_rig server(at, echo_unmarked);
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(server.run());
                peer client = server.connect();
                co_await round_trip(at, client, "request");
                policy.within = 40ms;
                const drain_report report = co_await server.serving.drain(policy);
                at.check_near(std::chrono::duration_cast<std::chrono::microseconds>(report.took),
                              40ms);
                check_drained(server, report);
                CHECK(report.stragglers.size() == 1);
                CHECK(client.read().empty());
                CHECK(client.last_error() == ECONNRESET);
            });
        });
    };
    ends_at_deadline({.unready_for = 1h});
    ends_at_deadline({.notice_for = 1h});
    ends_at_deadline({.unready_for = std::chrono::nanoseconds::max()});
    ends_at_deadline({.notice_for = std::chrono::nanoseconds::max()});
}

TEST_CASE("drain: of no time at all resets everyone at once") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            auto clients = co_await server.idle_clients(3);
            const drain_report report = co_await server.serving.drain({.within = 0s});
            at.check_near(std::chrono::duration_cast<std::chrono::microseconds>(report.took), 0ms);
            check_drained(server, report);
            CHECK(report.stragglers.size() == 3);
        });
        at.check_resets(3);
    });
}
