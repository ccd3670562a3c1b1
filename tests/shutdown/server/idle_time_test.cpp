#include "server_rig.hpp"

#include <array>

using namespace ringdown;
using namespace ringdown::testing;

// The idle time of a server's connections, which ends those on which nothing moves.

namespace {

// Hands one large answer to the kernel, which takes all of it, and waits for the next request.
server_rig::body answers_much(const std::vector<std::byte>& answer) {
    return [&answer](stream& with) -> task<void> {
        const auto sent = co_await with.send(answer);
        CHECK(sent.bytes == answer.size());
        std::array<std::byte, 16> into;
        (void)co_await with.recv(into);
        co_await graceful_close(with);
    };
}

} // namespace

TEST_CASE("idle time: a peer that takes its answer slowly is not idle, though all was sent") {
    run([](rig& at) -> task<void> {
        const auto answer = pattern(600'000);
        server_options options;
        options.idle =
            2s; // which a busy machine keeps apart from nothing; exact in idle_limit_test.cpp
        options.when_idle.policy.within = 100ms;
        server_rig server(at, answers_much(answer), options);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect(8192);
            co_await server.until(connection_activity::serving, 1);
            std::uint64_t got = 0;
            const auto begun = at.on.now();
            while (at.on.now() - begun < 3s) {
                got += client.read(8192).size();
                co_await sleep_for(100ms);
            }
            CHECK(got > 100'000);
            CHECK(server.serving.open() == 1);
            CHECK(server.serving.summary().count(connection_activity::serving) == 1);
            co_await server.until(connection_activity::serving, 0); // now it is
            client.close();
            in.spawn(drain_into(server.serving, {.within = 1s}, report));
        });
        check_drained(server, *report);
    });
}

TEST_CASE("idle time: a reset that it asks for names it as the cause") {
    run([](rig& at) -> task<void> {
        server_options options;
        options.idle = 30ms;
        options.when_idle.requested = plans::abort;
        server_rig server(at, echo_unmarked, options);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            co_await sleep_for(60ms);
            in.spawn(drain_into(server.serving, {.within = 1s}, report));
        });
        REQUIRE(server.reports().size() == 1);
        CHECK(row(server.reports()[0]) == "local idle abort aborted acknowledged");
        at.check_resets(1);
    });
}

TEST_CASE("idle time: a crowd of quiet connections wakes the loop as one would") {
    run([](rig& at) -> task<void> {
        constexpr std::size_t many = 300;
        server_options options;
        options.idle = 480ms;
        options.when_idle.requested = plans::abort;
        server_rig server(at, echo_unmarked, options);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            std::vector<peer> clients;
            for (std::size_t i = 0; i < many; ++i) {
                clients.push_back(server.connect());
                co_await sleep_for(200us); // none in step with another
            }
            const auto before = at.on.statistics().enters;
            co_await sleep_for(240ms);
            const auto enters = at.on.statistics().enters - before;
            MESSAGE("enters in 240 ms: " << enters);
            CHECK(enters < many); // each is looked at eight times; served 16 a turn
            co_await server.until(connection_activity::serving, 0);
            in.spawn(drain_into(server.serving, {.within = 1s}, report));
        });
        REQUIRE(server.reports().size() == many);
        for (const auto& each : server.reports())
            CHECK(row(each) == "local idle abort aborted acknowledged");
        at.check_resets(many);
    });
}

TEST_CASE("idle time: a handler that waits for a backend gets no FIN put behind its half answer") {
    run([](rig& at) -> task<void> {
        server_options options;
        options.idle = 100ms;
        sent second;
        const auto half = [&](stream& with) -> task<void> {
            std::array<std::byte, 16> into;
            (void)co_await with.recv(into);
            const auto first = co_await with.send(bytes_of("first half, "));
            CHECK(first);
            co_await sleep_for(600ms); // the backend
            second = co_await with.send(bytes_of("second half"));
            co_await abort_close(with);
        };
        server_rig server(at, half, options);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            client.write("request");
            constexpr int closed = 7;
            const bool reset =
                co_await eventually(at, [&] { return client.tcp_state() == closed; });
            CHECK(reset); // FIN would make it CLOSE_WAIT
            co_await server.until(connection_activity::closed, 0);
            in.spawn(drain_into(server.serving, {.within = 2s}, report));
        });
        check_drained(server, *report);
        CHECK(second.error == errc::ending);
        CHECK(row(server.reports()[0]) == "local idle abort aborted acknowledged");
        CHECK(server.reports()[0].phase == teardown_phase::open);
        at.check_resets(1);
    });
}

TEST_CASE("idle time: a connection that is marked is finished, cause idle") {
    run([](rig& at) -> task<void> {
        server_options options;
        options.idle = 100ms;
        server_rig server(at, echo, options);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = co_await server.idle_client();
            co_await sees_fin(at, client);
            client.close();
            co_await server.until(connection_activity::finishing, 0);
            in.spawn(drain_into(server.serving, {.within = 2s}, report));
        });
        check_drained(server, *report);
        CHECK(row(server.reports()[0]) == "local idle graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("set_idle: a connection's own time, or none, holds from the call on, on any server") {
    run([](rig& at) -> task<void> {
        for (const auto servers : {0ms, 100ms}) {
            CAPTURE(servers.count());
            server_options options;
            options.idle = servers;
            // The first byte of a request says what time it wants, in units of 100 ms; '-' none.
            const auto choosy = [](stream& with) -> task<void> {
                std::array<std::byte, 1> wanted;
                while (true) {
                    const auto bytes = co_await with.recv(wanted);
                    if (!bytes) break;
                    const char digit = static_cast<char>(wanted[0]);
                    CHECK(with.set_idle(digit == '-' ? 0ms : (digit - '0') * 100ms));
                    with.mark_idle();
                }
                co_await graceful_close(with);
            };
            server_rig server(at, choosy, options);
            std::optional<drain_report> report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(server.run());
                peer never = server.connect(), late = server.connect(), early = server.connect();
                never.write("-");
                late.write("9-4");
                early.write("-1");
                co_await sees_fin(at, early);
                co_await sees_fin(at, late);
                CHECK(server.count(connection_activity::idle) == 1); // the one without
                early.close();
                late.close();
                never.write("1");
                co_await sees_fin(at, never);
                never.close();
                in.spawn(drain_into(server.serving, {.within = 2s}, report));
            });
            check_drained(server, *report);
            for (const auto& each : server.reports())
                CHECK(row(each) == "local idle graceful graceful acknowledged");
        }
        at.check_resets(0);
    });
}

TEST_CASE("set_idle: nobody keeps the time of a connection that no server serves") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        CHECK_FALSE(ours.set_idle(1ms));
        theirs.finish();
        co_await graceful_close(ours);
    });
}
