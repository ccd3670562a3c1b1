#include <chrono>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "../support/fixture.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

// The kernel keeps one timeout for all timers of a loop. Whatever was set and unset before, and
// however the loop was kept busy meanwhile, no timer is late and no run is held up by it.

namespace {

task<void> note_sleep(loop& on, std::chrono::milliseconds time,
                      std::vector<std::chrono::nanoseconds>& late) {
    const auto due = on.now() + time;
    CHECK(co_await sleep_until(on, due));
    late.push_back(on.now() - due);
}

// Turns that leave the alarm armed for an hour.
task<void> arm_for_an_hour(loop& on) { co_await with_deadline(on, on.now() + 1h, turns(on, 3)); }

} // namespace

TEST_CASE("alarm: a timer that is due before it is not late, in a loop that waits or works") {
    for (const bool works : {false, true}) {
        CAPTURE(works);
        test_loop on;
        std::vector<std::chrono::nanoseconds> late;
        on.run([&]() -> task<void> {
            co_await arm_for_an_hour(on.loop);
            co_await with_scope(on.loop, [&](scope& inside) -> task<void> {
                for (const auto time : {50ms, 20ms, 40ms, 30ms})
                    inside.spawn(note_sleep(on.loop, time, late));
                co_await turns(on.loop, 3);
                while (works && late.size() < 4)
                    co_await noop(on.loop);
            });
        });
        REQUIRE(late.size() == 4);
        for (const auto each : late) {
            CHECK(each >= 0ns);
            CHECK(each < 10ms);
        }
    }
}

TEST_CASE("alarm: rings for a timer that is gone, once, and then for those that are left") {
    test_loop on;
    on.run([&]() -> task<void> {
        co_await with_deadline(on.loop, on.loop.now() + 20ms, turns(on.loop, 3));
        const auto before = on.loop.statistics().enters;
        const auto begun = on.loop.now();
        CHECK(co_await sleep_for(on.loop, 60ms));
        CHECK(on.loop.now() - begun >= 60ms);
        CHECK(on.loop.statistics().enters - before < 10);
    });
}

TEST_CASE("alarm: a hundred thousand deadlines in a row move it no more than once in a while") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto begun = on.loop.now();
        const auto before = on.loop.statistics().submitted;
        constexpr int rounds = 100'000;
        for (int i = 0; i < rounds; ++i)
            co_await with_deadline(on.loop, on.loop.now() + 50ms, turns(on.loop, 1));
        const auto moved = on.loop.statistics().submitted - before - rounds;
        CHECK(moved >= 1);
        CHECK(moved <= 2 + static_cast<std::uint64_t>((on.loop.now() - begun) / 25ms));
    });
}

TEST_CASE("alarm: holds up no end of a run, and the next run has its own") {
    test_loop on;
    for (int run = 0; run < 3; ++run) {
        const auto begun = on.loop.now();
        on.run([&]() -> task<void> {
            co_await arm_for_an_hour(on.loop);
            CHECK(on.loop.operations_in_flight() == 0); // it is the loop's own
        });
        CHECK(on.loop.now() - begun < 2s);
        CHECK(on.loop.operations_in_flight() == 0);
    }
}
