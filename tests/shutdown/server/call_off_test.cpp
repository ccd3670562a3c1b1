#include "server_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

TEST_CASE("call_off: in unready the server serves on, is ready again, and can be drained later") {
    run([](rig& at) -> task<void> {
        std::vector<server_phase> seen;
        server_options options;
        options.on_phase = [&](server_phase entered) -> task<void> {
            seen.push_back(entered);
            co_return;
        };
        server_rig server(at, echo, options);
        std::optional<drain_report> first;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            auto before = co_await server.idle_client();
            CHECK_FALSE(server.serving.call_off());
            in.spawn(drain_into(server.serving, {.within = 100ms, .unready_for = 1h}, first));
            co_await sleep_for(5ms);
            CHECK_FALSE(server.serving.ready());
            CHECK(server.serving.call_off());
            CHECK(server.serving.ready());
            CHECK_FALSE(server.serving.call_off());
            co_await sleep_for(1ms);
            REQUIRE(first.has_value());
            CHECK(first->called_off);
            CHECK_FALSE(first->escalated);
            CHECK(first->stragglers.empty());
            CHECK(first->accepts == 1);
            CHECK(first->reports == 0);
            co_await sleep_for(120ms); // past the deadline of what was called off
            co_await round_trip(at, before, "served on");
            auto after = co_await server.idle_client();
            CHECK_FALSE(server.serving.draining().happened());

            std::optional<drain_report> second;
            co_await with_scope([&](scope& inner) -> task<void> {
                inner.spawn(drain_into(server.serving, {}, second));
                co_await sees_fin(at, before);
                co_await sees_fin(at, after);
                CHECK_FALSE(server.serving.call_off());
                before.close();
                after.close();
            });
            check_drained(server, *second);
            CHECK(second->connections.count(actual_ending::graceful) == 2);
        });
        using enum server_phase;
        CHECK(seen == std::vector{unready, serving, unready, not_accepting, asked_to_finish,
                                  waiting, drained});
    });
}

TEST_CASE("call_off: and a drain in the same breath, the two do not mix") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        std::optional<drain_report> first, second;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            in.spawn(drain_into(server.serving, {.unready_for = 1h}, first));
            co_await sleep_for(5ms);
            CHECK(server.serving.call_off());
            in.spawn(drain_into(server.serving, {}, second));
            CHECK(server.serving.phase() > server_phase::unready);
        });
        CHECK(first->called_off);
        check_drained(server, *second);
        CHECK(first->by_phase[0] + first->time_in(server_phase::unready) == first->took);
    });
}

TEST_CASE("call_off: by the hook that has been called for unready") {
    run([](rig& at) -> task<void> {
        server_options options;
        server* self = nullptr;
        int times = 0;
        options.on_phase = [&](server_phase entered) -> task<void> {
            if (entered == server_phase::unready && times++ == 0) CHECK(self->call_off());
            co_return;
        };
        server_rig server(at, echo, options);
        self = &server.serving;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            const drain_report report = co_await server.serving.drain();
            CHECK(report.called_off);
            CHECK(server.serving.ready());
            check_drained(server, co_await server.serving.drain());
        });
    });
}

TEST_CASE("call_off: once accepting has stopped it is too late") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo_unmarked);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            co_await round_trip(at, client, "request");
            in.spawn(drain_into(server.serving, {}, report));
            co_await sleep_for(1ms);
            CHECK(server.serving.phase() == server_phase::not_accepting);
            CHECK_FALSE(server.serving.call_off());
            co_await round_trip(at, client, "another");
            client.finish();
        });
        check_drained(server, *report);
    });
}
