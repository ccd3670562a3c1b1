#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "support/still_world.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

// What a server promises about time, to the turn of the loop, on the simulated clock.

namespace {

using phase = server_phase;

peer_script asks() { return peer_script().write("request"); } // and never ends
peer_script asks_and_ends() { return asks().await_fin().finish(); }

task<void> hang(stream with) {
    std::array<std::byte, 64> buffer;
    while (true) {
        const auto bytes = co_await with.recv(buffer);
        if (!bytes) break;
    }
}

task<void> answer(stream with) {
    std::array<std::byte, 64> buffer;
    for (;;) {
        with.mark_idle();
        const auto bytes = co_await with.recv(buffer);
        if (!bytes) break;
        const auto sent = co_await with.send(std::span(buffer).first(*bytes));
        if (!sent) break;
    }
    co_await graceful_close(with);
}

struct measured {
    drain_report drained;
    std::vector<std::chrono::nanoseconds>
        ends; // of each, since the drain began, or before it the run
    std::vector<teardown_report> reports;

    // Handshakes under way are waited for before anybody is asked to finish.
    [[nodiscard]] std::chrono::nanoseconds handshakes() const {
        return drained.time_in(phase::not_accepting);
    }
};

struct wanted {
    server::handler handler = answer;
    std::vector<peer_script> peers;
    drain_policy policy{};
    server_options options{};
    std::chrono::nanoseconds serves_for = 2s;    // before the drain
    std::function<task<void>(server&)> beside{}; // the drain
};

task<void> drain_after(still_world& world, server& serving, const wanted& what, measured& into,
                       loop::time_point& begun) {
    (void)co_await sleep_for(what.serves_for);
    begun = world.on.now();
    co_await with_scope([&](scope& inside) -> task<void> {
        if (what.beside) inside.spawn(what.beside(serving));
        into.drained = co_await serving.drain(what.policy);
    });
}

measured drain(wanted what) {
    still_world world;
    measured into;
    auto begun = world.on.now();
    auto socket = std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"),
                                                     listen_options{}, world.kernel);
    for (const peer_script& each : what.peers)
        world.kernel.connect_peer(socket->descriptor(), each);
    what.options.on_report = [&](const teardown_report& made) {
        into.reports.push_back(made);
        into.ends.push_back(world.on.now() - begun);
    };
    server serving(world.on, std::move(socket), what.handler, what.options);
    world.run([&]() -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(drain_after(world, serving, what, into, begun));
            const auto served = co_await serving.run();
            CHECK(served.has_value());
        });
    });
    CHECK(into.drained.reports == what.peers.size());
    return into;
}

task<void> escalate_after(server& serving, std::chrono::nanoseconds time) {
    (void)co_await sleep_for(time);
    co_await serving.drain();
}

} // namespace

TEST_CASE("punctual: a drain keeps its deadline, and names who is left") {
    const auto all =
        drain({.handler = hang, .peers = {asks(), asks(), asks()}, .policy = {.within = 80ms}});
    check_exact(all.drained.took, 80ms);
    CHECK(all.drained.stragglers.size() == 3);
    for (const auto& each : all.drained.stragglers)
        check_exact(each.age, 2s + 80ms);
    for (const auto each : all.ends)
        check_exact(each, 80ms);
    check_exact(drain({.handler = hang, .peers = {asks()}, .policy = {.within = 0s}}).drained.took,
                0ms);
}

TEST_CASE("punctual: a drain of idle connections takes no longer than their FIN and the peers'") {
    const auto all =
        drain({.peers = std::vector(20, asks_and_ends()), .policy = {.notice_for = 0s}});
    check_exact(all.drained.took, all.handshakes());
    CHECK(all.drained.stragglers.empty());
    for (const auto& each : all.reports)
        CHECK(each.ending == actual_ending::graceful);
}

TEST_CASE("punctual: a drain stays in each phase for its time") {
    const auto all =
        drain({.peers = {asks_and_ends()}, .policy = {.unready_for = 60ms, .notice_for = 70ms}});
    check_exact(all.drained.time_in(phase::unready), 60ms);
    check_exact(all.drained.time_in(phase::asked_to_finish), 70ms);
    check_exact(all.drained.took, 130ms + all.handshakes());
}

TEST_CASE("punctual: every wait of a drain is cut short by its deadline") {
    for (const drain_policy& policy : {drain_policy{.within = 50ms, .unready_for = 1h},
                                       {.within = 50ms, .notice_for = 1h},
                                       {.within = 50ms, .spread = 1h}}) {
        const auto all = drain({.peers = {asks(), asks()}, .policy = policy});
        check_exact(all.drained.took, 50ms);
    }
}

TEST_CASE("punctual: idle connections are ended evenly over the spread") {
    constexpr int many = 20;
    const auto all = drain({.peers = std::vector(many, asks_and_ends()),
                            .policy = {.notice_for = 0s, .spread = 200ms}});
    REQUIRE(all.ends.size() == many);
    for (int i = 0; i < many; ++i) {
        CAPTURE(i);
        check_exact(all.ends[static_cast<std::size_t>(i)], all.handshakes() + i * 200ms / many,
                    11ms);
    }
}

TEST_CASE("punctual: who has sent nothing has time for a first request, half of the time at most") {
    const auto silent = peer_script().await_fin().finish();
    const auto given = drain({.peers = {silent},
                              .policy = {.notice_for = 0s, .first_request_within = 150ms},
                              .serves_for = 50ms});
    check_exact(given.ends.front(), 100ms, 6ms);
    const auto half =
        drain({.peers = {silent},
               .policy = {.within = 300ms, .notice_for = 0s, .first_request_within = 1h},
               .serves_for = 50ms});
    check_exact(half.ends.front(), 150ms, 6ms); // looked at from time to time
    CHECK(half.drained.stragglers.empty());
    const auto late =
        drain({.peers = {peer_script().pause(100ms).write("here").await_fin().finish()},
               .policy = {.notice_for = 0s, .first_request_within = 1s},
               .serves_for = 50ms});
    check_exact(late.ends.front(), 50ms);
    CHECK(late.reports.front().received_bytes == 4);
}

TEST_CASE("punctual: a second drain escalates at once") {
    const auto all =
        drain({.handler = hang,
               .peers = {asks()},
               .policy = {.within = 1h},
               .beside = [](server& serving) { return escalate_after(serving, 30ms); }});
    CHECK(all.drained.escalated);
    check_exact(all.drained.took, 30ms);
}

TEST_CASE("punctual: peers that do not answer FIN are reset at the deadline, or by the idle time") {
    const auto deadline =
        drain({.peers = {asks()}, .policy = {.within = 120ms, .notice_for = 0s, .idle = 0s}});
    check_exact(deadline.ends.front(), 120ms);
    const auto idle =
        drain({.peers = {asks()}, .policy = {.within = 1s, .notice_for = 0s, .idle = 160ms}});
    CHECK(idle.reports.front().cause == teardown_cause::idle);
    check_exact(idle.ends.front(), idle.handshakes() + 160ms, 21ms);
}

TEST_CASE("punctual: a hook that does not mind being cancelled keeps no connection") {
    event stubborn;
    server_options options;
    options.on_phase = [&](server_phase entered) -> task<void> {
        if (entered == phase::unready) co_await stubborn.join();
    };
    const auto all = drain({.peers = {asks()},
                            .policy = {.within = 50ms},
                            .options = options,
                            .serves_for = 20ms,
                            .beside = [&](server&) -> task<void> {
                                (void)co_await sleep_for(90ms);
                                stubborn.set();
                            }});
    check_exact(all.ends.front(), 50ms);
    check_exact(all.drained.took, 90ms);
}

TEST_CASE("punctual: the idle time of a server's connections") {
    server_options options;
    options.idle = 480ms;
    options.when_idle.requested = plans::abort;
    const auto all = drain({.handler = hang, .peers = {asks()}, .options = options});
    CHECK(all.reports.front().cause == teardown_cause::idle);
    check_exact(all.ends.front(), 480ms, 61ms);
}
