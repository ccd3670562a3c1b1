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
        options.idle = 120ms;
        options.when_idle.policy.within = 100ms;
        server_rig server(at, answers_much(answer), options);
        std::optional<drain_report> report;
        co_await with_scope(at.on, [&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect(8192);
            co_await server.until(connection_activity::serving, 1);
            std::uint64_t got = 0;
            const auto begun = at.on.now();
            while (at.on.now() - begun < 300ms) {
                got += client.read(8192).size();
                co_await pass(at, 10ms);
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
        options.when_idle.requested = requested_ending::abort;
        server_rig server(at, echo_unmarked, options);
        std::optional<drain_report> report;
        co_await with_scope(at.on, [&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            co_await pass(at, 60ms);
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
        options.when_idle.requested = requested_ending::abort;
        server_rig server(at, echo_unmarked, options);
        std::optional<drain_report> report;
        co_await with_scope(at.on, [&](scope& in) -> task<void> {
            in.spawn(server.run());
            std::vector<peer> clients;
            for (std::size_t i = 0; i < many; ++i) {
                clients.push_back(server.connect());
                co_await pass(at, 200us); // none in step with another
            }
            const auto before = at.on.statistics().enters;
            co_await pass(at, 240ms);
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
