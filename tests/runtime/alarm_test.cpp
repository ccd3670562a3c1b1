#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/event.hpp>
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
    CHECK(co_await sleep_until(due));
    late.push_back(on.now() - due);
}

// Turns that leave the alarm armed for an hour.
task<void> arm_for_an_hour(loop& on) { co_await with_deadline(on.now() + 1h, turns(3)); }

/// Counts how often it has expired, and sets itself again if told to when.
class counting final : public timer {
public:
    explicit counting(loop& on) noexcept : timer(on.timers()) {}
    std::optional<time_point> again;
    int times = 0;

private:
    void expired() noexcept override {
        ++times;
        if (again) set(*std::exchange(again, {}));
    }
};

/// What `call` answers in a process whose clock is that much ahead of the machine's; nothing where
/// this may not be had.
template <class Call>
std::optional<int> in_another_time(std::chrono::seconds ahead, Call call) {
    constexpr int refused = 99;
    const pid_t maker = ::fork();
    if (maker == 0) {
        // The namespace is that of children made from now on.
        if (::unshare(CLONE_NEWTIME) < 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWTIME) < 0)
            ::_exit(refused);
        std::FILE* offsets = std::fopen("/proc/self/timens_offsets", "w");
        if (!offsets) ::_exit(refused);
        std::fprintf(offsets, "monotonic %lld 0\n", static_cast<long long>(ahead.count()));
        if (std::fclose(offsets) != 0) ::_exit(refused);
        const pid_t inside = ::fork();
        if (inside == 0) {
            ::alarm(60);
            ::_exit(call());
        }
        int status = -1;
        ::waitpid(inside, &status, 0);
        ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 98);
    }
    int status = -1;
    ::waitpid(maker, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == refused) return {};
    return WIFEXITED(status) ? WEXITSTATUS(status) : status;
}

// 0 if a timer below the alarm of another is punctual and the loop sleeps until then.
int sleep_below_an_alarm() {
    loop on;
    const auto begun = on.now();
    std::uint64_t enters = 0;
    const auto body = [&]() -> task<void> {
        co_await arm_for_an_hour(on);
        co_await with_deadline(on.now() + 40ms, turns(3));
        enters = on.statistics().enters;
        static_cast<void>(co_await sleep_for(80ms));
        enters = on.statistics().enters - enters;
    };
    on.run(body());
    const auto took = on.now() - begun;
    if (took < 80ms) return 1;
    if (took > 30s) return 2; // and not an hour
    return enters < 10 ? 0 : 3;
}

} // namespace

TEST_CASE("alarm: a timer that is due before it is not late, in a loop that waits or works") {
    for (const bool works : {false, true}) {
        CAPTURE(works);
        test_loop on;
        std::vector<std::chrono::nanoseconds> late;
        on.run([&]() -> task<void> {
            co_await arm_for_an_hour(on.loop);
            co_await with_scope([&](scope& inside) -> task<void> {
                for (const auto time : {50ms, 20ms, 40ms, 30ms})
                    inside.spawn(note_sleep(on.loop, time, late));
                co_await turns(3);
                while (works && late.size() < 4)
                    co_await noop();
            });
        });
        REQUIRE(late.size() == 4);
        for (const auto each : late) {
            CHECK(each >= 0ns);
            CHECK(each < 30s); // and not an hour; exact in sim_timeouts_test.cpp
        }
    }
}

TEST_CASE("alarm: rings for a timer that is gone, once, and then for those that are left") {
    test_loop on;
    on.run([&]() -> task<void> {
        co_await with_deadline(on.loop.now() + 20ms, turns(3));
        const auto before = on.loop.statistics().enters;
        const auto begun = on.loop.now();
        CHECK(co_await sleep_for(60ms));
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
            co_await with_deadline(on.loop.now() + 50ms, turns(1));
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

TEST_CASE("alarm: a clock that differs from the machine's, as in a time namespace, is kept") {
    for (const auto ahead : {100'000s, -20s}) {
        CAPTURE(ahead.count());
        const auto answer = in_another_time(ahead, sleep_below_an_alarm);
        if (!answer) {
            MESSAGE("skip: no time namespace may be made here");
            return;
        }
        CHECK(answer == 0);
    }
}

TEST_CASE("alarm: timers for the beginning and the end of time, in crowds") {
    test_loop on;
    on.run([&]() -> task<void> {
        std::vector<std::unique_ptr<counting>> past, never;
        for (int i = 0; i < 50; ++i) {
            past.push_back(std::make_unique<counting>(on.loop));
            past.back()->again = timer::time_point::min();
            past.back()->set(timer::time_point::min());
            never.push_back(std::make_unique<counting>(on.loop));
            never.back()->set(timer::time_point::max());
        }
        const auto before = on.loop.statistics().enters;
        CHECK(co_await sleep_for(30ms));
        CHECK(on.loop.statistics().enters - before < 20);
        for (const auto& each : past)
            CHECK(each->times == 2);
        for (const auto& each : never)
            CHECK(each->times == 0);
    });
    // With nothing else to wait for than the end of time.
    on.run([&]() -> task<void> {
        counting never(on.loop);
        never.set(timer::time_point::max());
        co_await turns(3);
        std::thread poster([&] {
            std::this_thread::sleep_for(20ms);
            on.loop.stop();
        });
        const auto before = on.loop.statistics().enters;
        event nothing;
        CHECK_FALSE(co_await nothing.wait());
        CHECK(on.loop.statistics().enters - before < 10);
        CHECK(never.times == 0);
        poster.join();
    });
}
