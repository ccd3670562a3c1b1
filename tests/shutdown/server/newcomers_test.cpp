#include "server_rig.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <ringdown/net/internal/handshakes.hpp>
#include <ringdown/runtime/internal/uapi.hpp>

#include "support/denying_system.hpp"
#include "support/fixture.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Who comes while a server is drained, and who waits in the queue when descriptors are short.

namespace {

std::shared_ptr<listening_socket> any_port(ringdown::system_calls& calls = kernel()) {
    return std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"), listen_options{},
                                              calls);
}

/// A handler that ends its connection when it is told to.
struct slow_end {
    event end{};

    server_rig::body handler() {
        return [this](stream& with) { return serve(with); };
    }
    task<void> serve(stream& with) {
        co_await end.join();
        co_await graceful_close(with);
    }
};

task<void> is_refused(rig& at, const address& to) {
    auto came = connect(at.on, to, {.deadline = at.on.now() + 5s});
    const auto answered = co_await std::move(came);
    REQUIRE_FALSE(answered.has_value());
    CHECK(answered.error() == std::errc::connection_refused);
}

} // namespace

TEST_CASE("newcomers: the report says how they were kept away, and by none nobody is told of it") {
    run([](rig& at) -> task<void> {
        server_options options;
        int told = 0;
        options.on_refusal_denied = [&](std::error_code) { ++told; };
        server_rig server(at, echo, options);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            report = co_await server.serving.drain();
        });
        check_drained(server, *report);
        CHECK((report->newcomers == refusal::by_filter ||
               report->newcomers == refusal::by_interface));
        CHECK(told == 0);
    });
}

TEST_CASE("newcomers: where the kernel permits no way to refuse them it is told once") {
    run([](rig& at) -> task<void> {
        denying_system calls;
        calls.deny_option(SOL_SOCKET, SO_ATTACH_FILTER);
        calls.deny_option(SOL_SOCKET, uapi::so_bindtoifindex);
        calls.deny_option(IPPROTO_IP, IP_MINTTL);
        std::vector<std::error_code> told;
        server_options options;
        options.on_refusal_denied = [&](std::error_code why) { told.push_back(why); };
        server_rig server(at, echo, options, any_port(calls));
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            client.write("request");
            in.spawn(drain_into(server.serving, {}, report));
            co_await sees_fin(at, client);
            CHECK(client.read() == "request");
            client.close();
        });
        check_drained(server, *report);
        CHECK(report->newcomers == refusal::denied);
        REQUIRE(told.size() == 1);
        CHECK(told[0] == std::errc::operation_not_permitted);
    });
}

TEST_CASE("newcomers: refused while the drain waits, though the program keeps the socket") {
    run([](rig& at) -> task<void> {
        slow_end slow;
        auto kept = any_port();
        server_rig server(at, slow.handler(), {}, kept);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            co_await server.until(connection_activity::serving, 1);
            in.spawn(drain_into(server.serving, {}, report));
            const bool waits = co_await eventually(
                at, [&] { return server.serving.phase() == server_phase::waiting; });
            CHECK(waits);
            CHECK(kept->descriptor() == -1);
            co_await is_refused(at, server.serving.local());
            at.expect_kernels_resets(1); // the refusal
            slow.end.set();
            co_await sees_fin(at, client);
            client.close();
        });
        check_drained(server, *report);
    });
}

TEST_CASE("newcomers: refused after a drain that was cut short while it still accepted") {
    for (const bool hand_over : {false, true}) {
        CAPTURE(hand_over);
        run([&](rig& at) -> task<void> {
            auto kept = any_port();
            server_rig server(at, echo, {}, kept);
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(server.run());
                const drain_report report =
                    co_await server.serving.drain({.within = 0s, .hand_over = hand_over});
                check_drained(server, report);
                CHECK((report.newcomers == refusal::none) == hand_over);
            });
            CHECK((kept->descriptor() >= 0) == hand_over);
            if (!hand_over) co_await is_refused(at, server.serving.local());
        });
    }
}

TEST_CASE("newcomers: a handshake under way has the time that the policy gives it") {
    run([](rig& at) -> task<void> {
        const auto socket = any_port();
        const int seconds = 30; // keeps it under way until the client has sent something
        ::setsockopt(socket->descriptor(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
        if (!handshakes(kernel(), socket->descriptor(), socket->local()).under_way()) {
            MESSAGE("skip: this kernel does not count handshakes");
            co_return;
        }
        server_rig server(at, echo, {}, socket);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            in.spawn(drain_into(server.serving, {.handshakes_within = 1h}, report));
            co_await turns(20);
            CHECK(server.serving.phase() == server_phase::not_accepting);
            CHECK(server.serving.accepts() == 0);
            client.write("request");
            co_await sees_fin(at, client);
            CHECK(client.read() == "request");
            client.close();
        });
        check_drained(server, *report);
        CHECK(report->accepts == 1);
    });
}

TEST_CASE("shortage: idle connections end at once, and what they held serves the queue") {
    for (const bool hand_over : {false, true}) {
        CAPTURE(hand_over);
        run([&](rig& at) -> task<void> {
            server_rig server(at, echo);
            std::optional<drain_report> report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(server.run());
                auto idle = co_await server.idle_clients(5);
                std::vector<peer> queued;
                for (int i = 0; i < 3; ++i) {
                    queued.push_back(server.connect());
                    queued.back().write("request");
                }
                const descriptor_limit none(0);
                const drain_policy policy{
                    .within = 1h, .notice_for = 1h, .spread = 1h, .hand_over = hand_over};
                in.spawn(drain_into(server.serving, policy, report));
                for (peer& each : idle) {
                    co_await sees_fin(at, each);
                    each.close();
                }
                for (peer& each : queued) {
                    co_await sees_fin(at, each);
                    CHECK(each.read() == "request");
                    each.close();
                }
            });
            check_drained(server, *report);
            CHECK(report->accepts == 8);
            CHECK(report->connections.count(actual_ending::graceful) == 8);
            CHECK(report->stragglers.empty());
        });
    }
}

TEST_CASE("shortage: handlers that wait for the drain are told at once as well") {
    run([](rig& at) -> task<void> {
        server* self = nullptr;
        server_rig server(at, [&](stream& with) -> task<void> {
            co_await self->draining().join();
            co_await graceful_close(with);
        });
        self = &server.serving;
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer served = server.connect();
            co_await server.until(connection_activity::serving, 1);
            peer queued = server.connect();
            const descriptor_limit none(0);
            in.spawn(drain_into(server.serving, {.within = 1h, .notice_for = 1h}, report));
            for (peer* each : {&served, &queued}) {
                co_await sees_fin(at, *each);
                each->close();
            }
        });
        check_drained(server, *report);
        CHECK(report->connections.count(actual_ending::graceful) == 2);
    });
}

TEST_CASE("notice: idle connections stay for it by default, and end before half of the time") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            auto clients = co_await server.idle_clients(2);
            in.spawn(drain_into(server.serving, {.within = 1h}, report));
            co_await server.serving.draining().wait();
            const auto told = at.on.now();
            co_await round_trip(at, clients[0], "asked before it knew");
            for (peer& each : clients) {
                co_await sees_fin(at, each);
                each.close();
            }
            CHECK(at.on.now() - told >= drain_policy().notice_for);
        });
        check_drained(server, *report);
    });
    CHECK(drain_policy().notice_for > 0s);
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = co_await server.idle_client();
            in.spawn(drain_into(server.serving, {.within = 1s, .notice_for = 1h}, report));
            co_await sees_fin(at, client);
            client.close();
        });
        check_drained(server, *report);
        CHECK(report->stragglers.empty());
    });
}

TEST_CASE("notice: a server that may accept nobody more gives it whole when nobody waits") {
    for (const bool full : {true, false}) {
        CAPTURE(full);
        run([&](rig& at) -> task<void> {
            server_options options;
            options.connections_max = full ? 2 : 0;
            server_rig server(at, echo, options);
            std::optional<drain_report> report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(server.run());
                auto clients = co_await server.idle_clients(2);
                std::optional<descriptor_limit> none;
                if (!full) none.emplace(0);
                in.spawn(drain_into(server.serving, {.within = 1h, .notice_for = 60ms}, report));
                co_await server.serving.draining().wait();
                const auto told = at.on.now();
                // It takes a thread, which sanitizers do not start without a descriptor.
                if (full) co_await round_trip(at, clients[0], "between the notices");
                for (peer& each : clients) {
                    co_await sees_fin(at, each);
                    each.close();
                }
                CHECK(at.on.now() - told >= 60ms);
            });
            check_drained(server, *report);
            CHECK(report->time_in(server_phase::asked_to_finish) >= 60ms);
        });
    }
}
