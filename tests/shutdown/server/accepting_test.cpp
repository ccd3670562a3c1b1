#include "server_rig.hpp"

#include <sys/socket.h>

using namespace ringdown;
using namespace ringdown::testing;

// A server that may not accept at the moment, because as many are open as it allows, and one that
// cannot any more.

namespace {

std::shared_ptr<listening_socket> any_port() {
    return std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"));
}

/// As whoever shares the listening socket can do to it.
void make_impossible(const listening_socket& accepted_from) {
    ::shutdown(accepted_from.descriptor(), SHUT_RDWR);
}

task<void> run_into(server& run, std::optional<std::error_code>& answer) {
    const auto served = co_await run.run();
    answer = served ? std::error_code() : served.error();
}

task<void> until_answered(rig& at, const std::optional<std::error_code>& answer) {
    const bool answered = co_await eventually(at, [&] { return answer.has_value(); });
    CHECK(answered);
}

task<void> until_open(rig& at, const server& serving, std::size_t open) {
    const bool seen = co_await eventually(at, [&] { return serving.open() == open; });
    CHECK(seen);
}

} // namespace

TEST_CASE("limit: beyond it nobody is accepted, until a connection has been reported") {
    run([](rig& at) -> task<void> {
        std::vector<std::error_code> told;
        server_options options;
        options.connections_max = 2;
        options.on_accept_paused = [&](std::error_code why) { told.push_back(why); };
        server_rig server(at, echo, options);
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            std::vector<peer> clients;
            for (int i = 0; i < 7; ++i) {
                clients.push_back(server.connect());
                clients.back().write("request");
            }
            co_await until_open(at, server.serving, 2);
            co_await sleep_for(20ms);
            CHECK(server.serving.accepts() == 2);
            REQUIRE(told.size() == 1);
            CHECK(told[0] == errc::connection_limit);
            std::uint64_t accepted = 2;
            for (auto& each : clients) {
                CHECK(each.read() == "request");
                each.close();
                accepted = std::min<std::uint64_t>(accepted + 1, clients.size());
                const bool came =
                    co_await eventually(at, [&] { return server.serving.accepts() == accepted; });
                CHECK(came);
                CHECK(server.serving.open() <= 2);
            }
            check_drained(server, co_await server.serving.drain());
        });
        CHECK(server.reports().size() == 7);
        at.check_resets(0);
    });
}

TEST_CASE("limit: a drain serves everyone who waits, no more than allowed at a time") {
    run([](rig& at) -> task<void> {
        std::size_t most = 0;
        server_options options;
        options.connections_max = 3;
        std::optional<server_rig> server;
        server.emplace(
            at,
            [&](stream& with) -> task<void> {
                most = std::max(most, server->serving.open());
                return echo(with);
            },
            options);
        std::vector<peer> clients;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server->run());
            for (int i = 0; i < 10; ++i) {
                clients.push_back(server->connect());
                clients.back().write("request");
            }
            co_await until_open(at, server->serving, 3);
            std::optional<drain_report> report;
            in.spawn(drain_into(server->serving, {}, report));
            for (auto& each : clients) {
                co_await sees_fin(at, each);
                CHECK(each.read() == "request");
                each.close();
            }
            const bool answered = co_await eventually(at, [&] { return report.has_value(); });
            REQUIRE(answered);
            check_drained(*server, *report);
            CHECK(report->stragglers.empty());
        });
        CHECK(most == 3);
        CHECK(server->reports().size() == 10);
        at.check_resets(0);
    });
}

TEST_CASE(
    "limit: of two servers on one socket the one that is full leaves newcomers to the other") {
    run([](rig& at) -> task<void> {
        const auto socket = any_port();
        server_options options;
        options.connections_max = 2;
        server_rig small(at, echo, options, socket);
        server_rig large(at, echo, {}, socket);
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(small.run());
            in.spawn(large.run());
            std::vector<peer> clients;
            for (int i = 0; i < 20; ++i)
                clients.push_back(small.connect());
            co_await until_open(at, small.serving, 2);
            co_await until_open(at, large.serving, 18);
            for (auto& each : clients)
                each.close();
            check_drained(small, co_await small.serving.drain());
            check_drained(large, co_await large.serving.drain());
        });
    });
}

TEST_CASE("limit: an abort does not wait for room") {
    run([](rig& at) -> task<void> {
        server_options options;
        options.connections_max = 1;
        server_rig server(at, echo_unmarked, options);
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            std::vector<peer> clients;
            for (int i = 0; i < 3; ++i)
                clients.push_back(server.connect());
            co_await until_open(at, server.serving, 1);
            at.expect_kernels_resets(2); // of those in the queue, as the socket is closed
            const auto report = co_await server.serving.drain({.within = 20ms});
            check_drained(server, report);
            CHECK(report.stragglers.size() == 1);
        });
    });
}

TEST_CASE("accepting fails: run answers at once, and those who are there are served on") {
    run([](rig& at) -> task<void> {
        std::vector<std::error_code> told;
        server_options options;
        options.on_accept_failed = [&](std::error_code why) { told.push_back(why); };
        const auto socket = any_port();
        server_rig server(at, echo, options, socket);
        co_await with_scope([&](scope& in) -> task<void> {
            std::optional<std::error_code> answer;
            in.spawn(run_into(server.serving, answer));
            peer client = server.connect();
            co_await until_open(at, server.serving, 1);
            CHECK(server.serving.ready());
            make_impossible(*socket);
            co_await until_answered(at, answer);
            CHECK(*answer == std::errc::invalid_argument);
            REQUIRE(told.size() == 1);
            CHECK(told[0] == *answer);
            CHECK_FALSE(server.serving.ready());
            CHECK(server.serving.open() == 1);
            co_await round_trip(at, client, "request");
            std::optional<drain_report> report;
            in.spawn(drain_into(server.serving, {}, report));
            co_await sees_fin(at, client);
            client.close();
            const bool drained = co_await eventually(at, [&] { return report.has_value(); });
            REQUIRE(drained);
            CHECK(report->stragglers.empty());
        });
        CHECK(server.reports().size() == 1);
        CHECK(row(server.reports().front()) == "local drain graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("accepting fails: a drain that is under way comes to its end") {
    run([](rig& at) -> task<void> {
        const auto socket = any_port();
        server_rig server(at, echo, {}, socket);
        co_await with_scope([&](scope& in) -> task<void> {
            std::optional<std::error_code> answer;
            in.spawn(run_into(server.serving, answer));
            peer client = co_await server.idle_client();
            std::optional<drain_report> report;
            in.spawn(drain_into(server.serving, {.unready_for = 50ms}, report));
            make_impossible(*socket);
            co_await until_answered(at, answer);
            CHECK(*answer == std::errc::invalid_argument);
            co_await sees_fin(at, client);
            client.close();
            const bool drained = co_await eventually(at, [&] { return report.has_value(); });
            REQUIRE(drained);
            CHECK(report->stragglers.empty());
        });
        at.check_resets(0);
    });
}

TEST_CASE("accepting fails: without a drain the end of the loop's run aborts, and reports") {
    const auto socket = any_port();
    std::optional<server_rig> server;
    run([&](rig& at) -> task<void> {
        server.emplace(at, echo, server_options{}, socket);
        static peer client;
        client = server->connect();
        std::optional<std::error_code> answer;
        at.on.spawn([](ringdown::server& run, std::optional<std::error_code>& into) -> task<void> {
            co_await run_into(run, into);
        }(server->serving, answer));
        co_await until_open(at, server->serving, 1);
        make_impossible(*socket);
        co_await until_answered(at, answer);
        at.at_end([&](const std::vector<teardown_report>&) {
            CHECK(server->reports().size() == 1);
            CHECK(server->serving.open() == 0);
            client = {};
            server.reset();
        });
    });
}
