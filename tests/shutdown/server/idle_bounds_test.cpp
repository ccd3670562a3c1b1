#include "server_rig.hpp"

#include <array>

using namespace ringdown;
using namespace ringdown::testing;

// Clients of a drain that do not end as idle ones should: each is bounded by something.

TEST_CASE("idle: peers that do not answer our FIN are reset at the deadline, others by idle time") {
    run([](rig& at) -> task<void> {
        // Times that FIN is sent and acknowledged within, however busy the machine is.
        constexpr auto deadline = 1s;
        for (const auto idle : {0ms, 500ms}) {
            server_rig server(at, echo);
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(server.run());
                auto clients = co_await server.idle_clients(3);
                const drain_report report =
                    co_await server.serving.drain({.within = deadline + 60 * idle, .idle = idle});
                check_drained(server, report);
                CHECK(report.stragglers.size() == (idle > 0ms ? 0 : 3));
                for (const auto& each : report.stragglers)
                    CHECK(each.waits_for() == "peer_finished");
                const auto took =
                    std::chrono::duration_cast<std::chrono::microseconds>(report.took);
                if (idle == 0ms) at.check_near(took, deadline);
                const std::string expected = std::string("local ") +
                                             (idle > 0ms ? "idle" : "deadline") +
                                             " graceful degraded acknowledged";
                for (const teardown_report& each : server.reports())
                    CHECK(row(each) == expected);
            });
        }
        at.check_resets(6);
    });
}

TEST_CASE("idle: one that uploads without end after our FIN meets the discard cap") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            auto client = co_await server.idle_client();
            in.spawn(drain_into(server.serving, {.discard_bytes_max = 100'000}, report));
            co_await sees_fin(at, client);
            peer_script uploads(at.on, [&] { client.write_pattern(10'000'000); });
            co_await uploads.done();
        });
        check_drained(server, *report);
        CHECK(server.reports()[0].cause == teardown_cause::discard_limit);
    });
}

TEST_CASE("idle: one that drips a request is not idle, and bounded by the deadline") {
    run([](rig& at) -> task<void> {
        server_rig server(at, [](stream& with) -> task<void> {
            std::array<std::byte, 1> byte;
            with.mark_idle();
            for (std::size_t got = 0; got < 1'000'000;) {
                const auto bytes = co_await with.recv(byte);
                if (!bytes) break;
                got += *bytes;
            }
        });
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            client.write("x");
            in.spawn(drain_into(server.serving, {.within = 100ms}, report));
            while (!report) {
                client.write("x");
                co_await sleep_for(2ms);
            }
        });
        check_drained(server, *report);
        CHECK(report->stragglers.size() == 1);
        CHECK(report->stragglers[0].activity == connection_activity::serving);
        CHECK(report->stragglers[0].received_bytes > 5);
        CHECK(report->took < 30s);
    });
}
