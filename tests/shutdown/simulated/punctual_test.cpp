#include <functional>
#include <optional>

#include <doctest/doctest.h>

#include "support/still_world.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

// What the endings of connections promise about time, to the turn of the loop: on the simulated
// clock. On the real one a test knows lower bounds only.

namespace {

peer_script silent() { return {}; } // reads all, and never ends

peer_script stuck() {
    peer_script made;
    made.read_bytes = 0;
    return made;
}

task<void> send_much(stream& to, const std::vector<std::byte>& data) {
    (void)co_await to.send(data);
}

const std::vector<std::byte> much(1 << 20);

using ending_of = std::function<task<teardown_report>(stream&)>;

// Ends a connection that has `much` to send, if it is told to.
teardown_report end(const peer_script& script, bool sends, const ending_of& ending) {
    still_world world;
    world.run([&]() -> task<void> {
        stream ours = world.connect(script);
        co_await with_scope([&](scope& inside) -> task<void> {
            if (sends) inside.spawn(send_much(ours, much));
            co_await noop();
            (void)co_await ending(ours);
        });
    });
    REQUIRE(world.reports.size() == 1);
    return world.reports.front();
}

ending_of gracefully(ending_policy policy) {
    return [policy](stream& ours) -> task<teardown_report> {
        co_return co_await graceful_close(ours, policy);
    };
}

ending_of closing(lingering how) {
    return [how](stream& ours) -> task<teardown_report> {
        auto report = co_await close(ours, how);
        co_return report.value_or(teardown_report{});
    };
}

} // namespace

TEST_CASE("punctual: graceful_close resets at the deadline, FIN having gone at once") {
    const auto report = end(silent(), false, gracefully({.within = 200ms}));
    CHECK(report.cause == teardown_cause::deadline);
    check_exact(*report.microseconds.flush, 0us);
    check_exact(*report.microseconds.fin_acknowledged, 40us, 125ms); // learnt at the first look
    check_exact(report.microseconds.total, 200ms);
}

TEST_CASE("punctual: the earlier of a deadline and a time holds, and past ones end at once") {
    still_world world;
    const auto now = world.on.now();
    for (const auto& [policy, expected] :
         {std::pair{ending_policy{.within = 1h, .deadline = now + 120ms}, 120ms},
          {ending_policy{.within = 80ms, .deadline = now + 1h}, 80ms},
          {ending_policy{.within = 0ms}, 0ms},
          {ending_policy{.within = 1h, .deadline = now - 1s}, 0ms}}) {
        const auto report = end(silent(), false, gracefully(policy));
        check_exact(report.microseconds.total, expected);
    }
}

TEST_CASE("punctual: the deadline holds for bytes that find no room") {
    const auto report = end(stuck(), true, gracefully({.within = 300ms}));
    CHECK(report.cause == teardown_cause::deadline);
    CHECK(!report.microseconds.flush);
    check_exact(report.microseconds.total, 300ms);
}

TEST_CASE("punctual: the idle time runs from the last byte or acknowledgement") {
    const auto finished = end(silent(), false, gracefully({.idle = 160ms}));
    CHECK(finished.cause == teardown_cause::idle);
    check_exact(finished.microseconds.total, 160ms, 21ms);

    const auto full = end(stuck(), true, gracefully({.idle = 160ms}));
    CHECK(full.cause == teardown_cause::idle);
    check_exact(full.microseconds.total, 160ms, 21ms);

    peer_script slow = silent(); // says something each 100 ms, five times
    for (int i = 0; i < 5; ++i)
        slow.pause(100ms).write("still here");
    const auto restarted = end(slow, false, gracefully({.idle = 160ms}));
    CHECK(restarted.cause == teardown_cause::idle);
    check_exact(restarted.microseconds.total, 660ms, 21ms);
}

TEST_CASE(
    "punctual: the deadline covers the flush, the acknowledgement and the peer's FIN together") {
    peer_script late = stuck();
    late.pause(150ms).read(64 << 10, 5us);
    const auto report = end(late, true, gracefully({.within = 300ms}));
    CHECK(report.cause == teardown_cause::deadline);
    CHECK(report.sent_bytes == much.size());
    CHECK(*report.microseconds.flush >= 140ms);
    check_exact(report.microseconds.total, 300ms);
}

TEST_CASE("punctual: each time of a report is that of the event") {
    peer_script late = stuck();
    late.pause(100ms).read(64 << 10, 5us).await_fin().pause(100ms).finish();
    const auto report = end(late, true, gracefully({}));
    CHECK(report.ending == actual_ending::graceful);
    const auto& times = report.microseconds;
    CHECK(*times.flush >= 100ms);
    CHECK(*times.fin_acknowledged >= *times.flush);
    check_exact(*times.peer_finished, *times.flush + 100ms);
    check_exact(times.total, *times.peer_finished);
}

TEST_CASE("punctual: close(wait) waits for its time, and not longer than for the acknowledgement") {
    check_exact(end(stuck(), true, closing(lingering::wait(200ms))).microseconds.total, 200ms);
    check_exact(end(silent(), false, closing(lingering::wait(1h))).microseconds.total, 40us);
    check_exact(end(silent(), false, closing(lingering::wait(0s))).microseconds.total, 0us);
}

TEST_CASE("punctual: close(background) returns at once, and ends the connection in its time") {
    still_world world;
    world.run([&]() -> task<void> {
        stream ours = world.connect(silent());
        const auto asked = world.on.now();
        const auto nothing = co_await close(ours, lingering::background(200ms));
        CHECK(!nothing.has_value());
        check_exact(world.on.now() - asked, 0ms);
        CHECK(world.reports.empty());
        (void)co_await sleep_for(1s);
    });
    REQUIRE(world.reports.size() == 1);
    check_exact(world.reports.front().microseconds.total, 200ms);
}

TEST_CASE("punctual: abort_close ends at once, whatever is under way") {
    for (const bool sends : {false, true}) {
        const auto report = end(stuck(), sends, [](stream& ours) -> task<teardown_report> {
            co_return co_await abort_close(ours);
        });
        CHECK(report.ending == actual_ending::aborted);
        check_exact(report.microseconds.total, 0us);
    }
}

TEST_CASE("punctual: disconnect resets at its deadline, release ends its flush at its time") {
    const auto left = end(silent(), false, [](stream& ours) -> task<teardown_report> {
        auto what = co_await disconnect(ours, {.within = 100ms});
        co_return what.report;
    });
    CHECK(left.ending == actual_ending::degraded);
    check_exact(left.microseconds.total, 100ms);

    const auto released = end(stuck(), true, [](stream& ours) -> task<teardown_report> {
        auto what = co_await release(ours, 50ms);
        co_return what.report;
    });
    CHECK(released.cause == teardown_cause::deadline);
    check_exact(released.microseconds.total, 50ms);
}

TEST_CASE("punctual: a connection that is busy beside it makes a deadline no later") {
    still_world world;
    world.run([&]() -> task<void> {
        stream ours = world.connect(silent());
        stream busy = world.connect(silent());
        bool over = false;
        teardown_report report;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn([](stream& by, const bool& ends) -> task<void> {
                while (!ends)
                    (void)co_await by.send(std::span(much).first(4'000));
            }(busy, over));
            report = co_await graceful_close(ours, {.within = 200ms});
            over = true;
        });
        check_exact(report.microseconds.total, 200ms);
        (void)co_await abort_close(busy);
    });
}

TEST_CASE("punctual: 1,000 deadlines at once are all kept, and 1,000 that differ are each") {
    for (const bool differ : {false, true}) {
        CAPTURE(differ);
        still_world world;
        constexpr std::size_t many = 1'000;
        std::vector<stream> all;
        std::vector<std::chrono::nanoseconds> late(many);
        world.run([&]() -> task<void> {
            for (std::size_t i = 0; i < many; ++i)
                all.push_back(world.connect(silent()));
            const auto begun = world.on.now();
            co_await with_scope([&](scope& inside) -> task<void> {
                for (std::size_t i = 0; i < many; ++i)
                    inside.spawn([](loop& on, stream& ended, loop::time_point due,
                                    std::chrono::nanoseconds& into) -> task<void> {
                        (void)co_await graceful_close(ended, {.within = 1h, .deadline = due});
                        into = on.now() - due;
                    }(world.on, all[i], begun + 200ms + (differ ? i % 100 : 0) * 1ms, late[i]));
                co_return;
            });
            all.clear();
        });
        for (const auto each : late)
            check_exact(each, 0ms, differ ? a_few_turns : 1ms); // turns, of 1 us each
        for (const auto& each : world.reports)
            CHECK(each.cause == teardown_cause::deadline);
    }
}

TEST_CASE("punctual: delivered answers with the acknowledgement") {
    still_world world;
    world.run([&]() -> task<void> {
        peer_script slow = silent();
        slow.ack_delay = 40ms;
        stream ours = world.connect(slow);
        const auto begun = world.on.now();
        CHECK(co_await delivered(ours)); // nothing was sent
        check_exact(world.on.now() - begun, 0ms);
        CHECK(co_await ours.send(std::span(much).first(100)));
        const auto sent = world.on.now();
        CHECK(co_await delivered(ours));
        check_exact(world.on.now() - sent, 40ms, 6ms);
        (void)co_await abort_close(ours);
    });
}

TEST_CASE("punctual: a session ends at its deadline, at the idle time from its last answer on, or "
          "with it") {
    const auto end_session = [](const peer_script& script, session_policy policy,
                                std::chrono::milliseconds computes) {
        still_world world;
        std::chrono::nanoseconds since_answer{0};
        std::optional<session_report> done;
        world.run([&]() -> task<void> {
            session ours(world.connect(script), session_role::server);
            auto owed = ours.begin_request();
            CHECK(ours.begin_shutdown(policy));
            (void)co_await sleep_for(computes);
            (void)co_await owed->send(std::span(much).first(6));
            owed->finish();
            const auto answered = world.on.now();
            auto ended = co_await ours.completed();
            since_answer = world.on.now() - answered;
            done = std::move(*ended);
        });
        return std::pair{done->connection, since_answer};
    };
    session_policy limits;
    limits.limits.within = 150ms;
    const auto deadline = end_session(silent(), limits, 10ms);
    CHECK(deadline.first.cause == teardown_cause::deadline);
    check_exact(deadline.first.microseconds.total, 150ms);

    limits.limits = {.idle = 160ms};
    const auto idle = end_session(silent(), limits, 250ms);
    CHECK(idle.first.cause == teardown_cause::idle);
    check_exact(idle.second, 160ms, 21ms);

    const auto whole = end_session(peer_script().await_fin().finish(), {}, 10ms);
    CHECK(whole.first.ending == actual_ending::graceful);
    check_exact(whole.second, 40us);
}

TEST_CASE("punctual: a reset behind the peer's FIN ends the requests in progress at once") {
    still_world world;
    world.run([&]() -> task<void> {
        session ours(world.connect(peer_script().finish().pause(200ms).reset()),
                     session_role::server);
        const auto begun = world.on.now();
        auto owed = ours.begin_request();
        CHECK(ours.begin_shutdown());
        const auto done = co_await ours.completed();
        REQUIRE(done.has_value());
        CHECK(done->canceled == 1);
        check_exact(world.on.now() - begun, 200ms);
    });
}
