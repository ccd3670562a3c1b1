#include "acknowledgement_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// When and how the acknowledgement of FIN is looked for, where nothing tells of it.

namespace {

bool is_aligned(loop::time_point when, std::chrono::nanoseconds apart) {
    return when.time_since_epoch() % apart == 0ns;
}

} // namespace

TEST_CASE("acknowledgement: looks fall on moments that are the same for all") {
    acknowledgement_rig at(acknowledges_after(1h));
    at.run([&]() -> task<void> {
        co_await sleep_for(3'456us);
        at.say_fin();
        const auto now = at.loop.now();
        const auto first = at.part.next_look(now, 0ns);
        CHECK(first >= now + 100ms);
        CHECK(first < now + 125ms);
        CHECK(is_aligned(first, 25ms));
        // Several within the idle time, where that is short; the first one is kept all the same.
        const auto soon = at.part.next_look(now, 160ms);
        CHECK(soon >= now + 10ms);
        CHECK(soon < now + 20ms);
        CHECK(is_aligned(soon, 10ms));
        CHECK(at.part.next_look(now, 10s) == first);

        at.part.look(now);
        CHECK(at.part.next_look(now, 0ns) == loop::time_point::max());
        const auto later_on = at.part.next_look(now, 16s);
        CHECK(later_on >= now + 1s);
        CHECK(later_on < now + 2s);
        CHECK(is_aligned(later_on, 1s));
        // Never more often than each millisecond, and never wrapped.
        CHECK(at.part.next_look(now, 1ns) >= now + 1ms);
        CHECK(at.part.next_look(now, 16ms) < now + 2ms);
        CHECK(at.part.next_look(now, std::chrono::nanoseconds::max()) > now + 24h);
    });
}

TEST_CASE("acknowledgement: a queue that no poll tells of is looked at every other millisecond") {
    acknowledgement_rig at(acknowledges_after(1h), unix_like);
    at.run([&]() -> task<void> {
        at.say_fin();
        const auto now = at.loop.now();
        CHECK(at.part.next_look(now, 0ns) == now + 2ms);
        at.part.look(now);
        CHECK(at.part.next_look(now, 0ns) == now + 2ms);
        CHECK(at.part.next_look(now, 5s) == now + 2ms);
        CHECK(at.part.next_look(now, 1ms) < now + 2ms);
        co_return;
    });
}

TEST_CASE("acknowledgement: a look tells when the peer last let something through") {
    acknowledgement_rig at(acknowledges_after(25ms));
    at.run([&]() -> task<void> {
        const auto begun = at.loop.now();
        const sent first = co_await at.ours.send(bytes_of("first"));
        CHECK(first);
        co_await sleep_until(begun + 60ms);
        at.part.look(at.loop.now());
        const auto moved = at.part.moved_at();
        CHECK(moved >= begun + 25ms); // the kernel tells whole milliseconds
        CHECK(moved <= begun + 27ms);
        co_await sleep_for(10ms);
        at.part.look(at.loop.now());
        CHECK(at.part.moved_at() == moved);

        const sent second = co_await at.ours.send(bytes_of("second"));
        CHECK(second);
        const auto again = at.loop.now();
        co_await sleep_for(60ms);
        at.part.look(at.loop.now());
        CHECK(at.part.moved_at() >= again + 24ms);
        CHECK(at.part.moved_at() <= again + 27ms);
        CHECK(at.part.awaited());
    });
}

TEST_CASE("acknowledgement: without ages, what is found at the second look has moved just now") {
    acknowledgement_rig at(acknowledges_after(25ms), unix_like);
    at.run([&]() -> task<void> {
        const sent first = co_await at.ours.send(bytes_of("first"));
        CHECK(first);
        co_await sleep_for(5ms);
        at.part.look(at.loop.now()); // nobody knows since when it stands there
        CHECK(at.part.moved_at() == loop::time_point());
        at.part.look(at.loop.now());
        CHECK(at.part.moved_at() == loop::time_point());
        co_await sleep_for(30ms);
        const auto now = at.loop.now();
        at.part.look(now);
        CHECK(at.part.moved_at() == now);
        co_await sleep_for(1ms);
        at.part.look(at.loop.now());
        CHECK(at.part.moved_at() == now);
    });
}

TEST_CASE("acknowledgement: a look by itself finds that FIN was acknowledged") {
    acknowledgement_rig at(acknowledges_after(5ms));
    at.run([&]() -> task<void> {
        const sent some = co_await at.ours.send(bytes_of("bytes"));
        CHECK(some);
        co_await sleep_for(10ms);
        at.part.look(at.loop.now()); // of bytes alone nothing follows
        CHECK(at.part.awaited());
        CHECK(at.connection.sending() == sending_phase::open);
        at.say_fin();
        at.part.look(at.loop.now());
        CHECK(at.part.awaited());
        co_await sleep_for(10ms);
        at.part.look(at.loop.now());
        CHECK(!at.part.awaited());
        CHECK(at.asked() == 0);
        const auto samples = at.count("getsockopt");
        at.part.look(at.loop.now()); // no more to learn
        CHECK(at.count("getsockopt") == samples);
    });
}

TEST_CASE("fin_is_acknowledged: asks the kernel, and notes nothing") {
    for (const bool counted : {true, false}) {
        CAPTURE(counted);
        part_rig at(acknowledges_after(5ms), counted ? transports::tcp : unix_like);
        at.run([&]() -> task<void> {
            co_await sleep_for(1ms);
            CHECK(!fin_is_acknowledged(at.connection)); // of an empty queue, but no FIN
            at.connection.request_fin();
            CHECK(!fin_is_acknowledged(at.connection));
            co_await sleep_for(10ms);
            CHECK(fin_is_acknowledged(at.connection) == counted);
            CHECK(at.connection.sending() == sending_phase::fin_sent);
            at.connection.enter(sending_phase::fin_acknowledged);
            const auto asked = at.calls.calls();
            CHECK(fin_is_acknowledged(at.connection));
            CHECK(at.calls.calls() == asked);
        });
    }
}
