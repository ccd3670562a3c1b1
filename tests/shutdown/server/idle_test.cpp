#include "server_rig.hpp"

#include <array>

using namespace ringdown;
using namespace ringdown::testing;

// Idle connections end first; those at work end by themselves, or when they mark themselves idle.

namespace {

const drain_policy young_at_once{.notice_for = 0s, .first_request_within = 0s};

// Answers each request only when told to, one at a time.
struct slow_echo {
    event answer{};
    int begun = 0;

    server_rig::body handler() {
        return [this](stream& with) { return serve(with); };
    }
    task<void> serve(stream& with) {
        std::array<std::byte, 64> buffer;
        for (;;) {
            const auto bytes = co_await receive(with, buffer);
            if (!bytes) break;
            ++begun;
            co_await answer.wait();
            const auto sent = co_await with.send(std::span(buffer).first(*bytes));
            if (!sent) break;
        }
        co_await graceful_close(with);
    }
    static task<result<std::size_t>> receive(stream& with, std::span<std::byte> into) {
        const idle_mark waits(with);
        co_return co_await with.recv(into);
    }
};

task<void> lease_echo(stream& with) {
    for (;;) {
        with.mark_idle();
        const auto bytes = co_await with.recv_lease();
        if (!bytes) break;
        const auto sent = co_await with.send(bytes->data());
        if (!sent) break;
    }
    co_await graceful_close(with);
}

} // namespace

TEST_CASE("idle: connections that are idle get FIN at once, and the reports say drain") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            auto clients = co_await server.idle_clients(10);
            const auto begun = at.on.now();
            in.spawn(drain_into(server.serving, {.notice_for = 0s}, report));
            for (const peer& each : clients)
                co_await sees_fin(at, each);
            CHECK(at.on.now() - begun < 9s); // and not at the deadline
            co_await server.until(connection_activity::finishing, 10);
            CHECK(server.serving.phase() == server_phase::waiting);
            for (peer& each : clients)
                each.close();
        });
        check_drained(server, *report);
        CHECK(report->stragglers.empty());
        for (const teardown_report& each : server.reports())
            CHECK(row(each) == "local drain graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("idle: a request sent in the breath of the asking is answered whole") {
    for (const auto& handler : {server_rig::body(echo), server_rig::body(lease_echo)}) {
        run([&](rig& at) -> task<void> {
            std::vector<peer> clients;
            server_options options;
            options.on_phase = [&](server_phase entered) -> task<void> {
                // Begins before anything is asked; the loop does not turn until it has been.
                if (entered == server_phase::asked_to_finish)
                    for (peer& each : clients)
                        each.write("request");
                co_return;
            };
            server_rig server(at, handler, options);
            std::optional<drain_report> report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(server.run());
                clients = co_await server.idle_clients(20);
                in.spawn(drain_into(server.serving, {.notice_for = 0s}, report));
                for (peer& each : clients) {
                    co_await sees_fin(at, each);
                    CHECK(each.read() == "request");
                    each.close();
                }
            });
            check_drained(server, *report);
            for (const teardown_report& each : server.reports()) {
                CHECK(row(each) == "local drain graceful graceful acknowledged");
                CHECK(each.received_bytes == 12);
                CHECK(each.discarded_bytes == 0);
            }
        });
    }
}

TEST_CASE("idle: a request that has been received and not been looked at is answered") {
    run([](rig& at) -> task<void> {
        slow_echo slow;
        slow.answer.set();
        server_rig server(at, slow.handler());
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            auto clients = co_await server.idle_clients(30);
            // Requests go on all the time, so that they meet the drain in every state of theirs.
            std::vector<std::size_t> asked(clients.size()), answered(clients.size());
            in.spawn(drain_into(server.serving, {.notice_for = 0s}, report));
            std::size_t open = clients.size();
            for (int look = 0; look < 20'000 && open > 0; ++look) {
                for (std::size_t i = 0; i < clients.size(); ++i) {
                    peer& each = clients[i];
                    if (each.descriptor() < 0) continue;
                    answered[i] += each.unread() ? each.read().size() : 0;
                    const bool finished = each.tcp_state() == 8; // CLOSE_WAIT
                    if (finished) {
                        answered[i] += each.unread() ? each.read().size() : 0;
                        each.close();
                        --open;
                    } else if (answered[i] == asked[i]) {
                        // No FIN has arrived when it is sent, and nothing runs in between.
                        asked[i] += each.write("x");
                    }
                }
                co_await sleep_for(0ns);
            }
            CHECK(open == 0);
            // A worker sends FIN some time after the look, and what comes in between meets it.
            if (at.on.fin() == fin_method::system_call)
                CHECK(asked == answered);
            else
                MESSAGE("skip: FIN is not sent in the breath of the look");
        });
        check_drained(server, *report);
        CHECK(report->stragglers.empty());
    });
}

TEST_CASE("idle: a connection at work is left to finish, and ended when it marks itself") {
    run([](rig& at) -> task<void> {
        slow_echo slow;
        server_rig server(at, slow.handler());
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            client.write("request");
            const bool begun = co_await eventually(at, [&] { return slow.begun == 1; });
            CHECK(begun);
            in.spawn(drain_into(server.serving, young_at_once, report));
            co_await server.serving.final_notice().wait();
            client.write("another"); // waits in the kernel
            co_await sleep_for(20ms);
            CHECK(server.count(connection_activity::serving) == 1);
            CHECK(server.serving.phase() == server_phase::waiting);
            slow.answer.set();
            co_await sees_fin(at, client);
            CHECK(client.read() == "requestanother");
            client.close();
        });
        check_drained(server, *report);
        CHECK(row(server.reports()[0]) == "local drain graceful graceful acknowledged");
    });
}

TEST_CASE("idle: a handler that finishes when told of the drain") {
    run([](rig& at) -> task<void> {
        server* self = nullptr;
        server_rig server(at, [&](stream& with) -> task<void> {
            std::array<std::byte, 16> buffer;
            const auto first = co_await when_any(with.recv(buffer), self->draining().wait());
            CHECK(first.first == 1);
            const auto sent = co_await with.send_last(bytes_of("bye"));
            CHECK(sent);
            co_await graceful_close(with);
        });
        self = &server.serving;
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            co_await server.until(connection_activity::serving, 1);
            in.spawn(drain_into(server.serving, {.notice_for = 0s}, report));
            co_await sees_fin(at, client);
            CHECK(client.read() == "bye");
            client.close();
        });
        check_drained(server, *report);
        CHECK(row(server.reports()[0]) == "local application graceful graceful acknowledged");
    });
}

TEST_CASE("idle: between both notices requests are served, idle connections are ended after") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            auto clients = co_await server.idle_clients(2);
            in.spawn(drain_into(server.serving, {.notice_for = 60ms}, report));
            co_await server.serving.draining().wait();
            const auto first = at.on.now();
            CHECK_FALSE(server.serving.final_notice().happened());
            for (int i = 0; i < 3; ++i)
                co_await round_trip(at, clients[0], "between the notices");
            CHECK(server.count(connection_activity::idle) == 2);
            co_await server.serving.final_notice().wait();
            CHECK(at.on.now() - first >= 60ms);
            for (peer& each : clients) {
                co_await sees_fin(at, each);
                each.close();
            }
        });
        check_drained(server, *report);
        CHECK(report->time_in(server_phase::asked_to_finish) >= 60ms);
        CHECK(report->connections.count(teardown_cause::drain) == 2);
    });
}

TEST_CASE("idle: ended evenly over the spread") {
    run([](rig& at) -> task<void> {
        constexpr int many = 20;
        server_rig server(at, echo);
        std::optional<drain_report> report;
        std::vector<std::chrono::nanoseconds> seen;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            auto clients = co_await server.idle_clients(many);
            const auto begun = at.on.now();
            in.spawn(drain_into(server.serving, {.within = 60s, .spread = 200ms}, report));
            co_await server.serving.final_notice().wait();
            for (peer& each : clients) { // the oldest first
                co_await sees_fin(at, each);
                seen.push_back(at.on.now() - begun);
                each.close();
            }
        });
        check_drained(server, *report);
        for (int i = 0; i < many; ++i) {
            CAPTURE(i);
            const auto due = i * 200ms / many;
            CHECK(seen[static_cast<std::size_t>(i)] >= due - 1ms);
        }
    });
}

TEST_CASE("idle: a connection that has sent nothing yet has time for its first request") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer silent = server.connect();
            peer late = server.connect();
            co_await server.until(connection_activity::idle, 2);
            const auto begun = at.on.now();
            in.spawn(drain_into(server.serving,
                                {.within = 60s, .notice_for = 0s, .first_request_within = 3s},
                                report));
            co_await server.serving.final_notice().wait();
            co_await sleep_for(50ms);
            late.write("here I am");
            co_await sees_fin(at, late);
            CHECK(at.on.now() - begun < 2900ms);
            CHECK(late.read() == "here I am");
            co_await sees_fin(at, silent);
            CHECK(at.on.now() - begun > 2900ms);
            silent.close();
            late.close();
        });
        check_drained(server, *report);
        CHECK(report->stragglers.empty());
    });
}

TEST_CASE("idle: half of the time is the most that a first request may take") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer silent = server.connect();
            co_await server.until(connection_activity::idle, 1);
            in.spawn(drain_into(server.serving,
                                {.within = 3s, .notice_for = 0s, .first_request_within = 1h},
                                report));
            co_await sees_fin(at, silent);
            silent.close();
        });
        check_drained(server, *report);
        CHECK(report->took > 1s);
        CHECK(report->took < 3s);
        CHECK(report->stragglers.empty());
    });
}
