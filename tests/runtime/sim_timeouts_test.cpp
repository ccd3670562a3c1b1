#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "../support/sim_setting.hpp"

using namespace ringdown;
using namespace ringdown::sim_tests;

// The timeouts of the simulated kernel are those of the real one, and the loop's alarm, which lives
// on them, is punctual in every order.

namespace {

/// What was answered, by the name of the entry.
using answers = std::map<std::uint64_t, int>;

struct timeouts {
    explicit timeouts(ringdown::system_calls& on) : calls(on), queue(on) { queue.enable(); }

    template <class Prepare>
    void add(std::uint64_t name, Prepare prepare) {
        io_uring_sqe& sqe = queue.entry();
        prepare(&sqe);
        sqe.user_data = name;
    }
    void arm(std::uint64_t name, std::chrono::milliseconds after) {
        times.push_back(std::make_unique<__kernel_timespec>(0, after / 1ns));
        add(name, [&](auto* sqe) { io_uring_prep_timeout(sqe, times.back().get(), 0, 0); });
    }
    void move(std::uint64_t name, std::uint64_t target, std::chrono::milliseconds after) {
        times.push_back(std::make_unique<__kernel_timespec>(0, after / 1ns));
        add(name,
            [&](auto* sqe) { io_uring_prep_timeout_update(sqe, times.back().get(), target, 0); });
    }
    void cancel(std::uint64_t name, std::uint64_t target) {
        add(name, [&](auto* sqe) { io_uring_prep_cancel64(sqe, target, 0); });
    }
    /// Submits, and waits for so many answers in all.
    void take(std::size_t many) {
        const auto patience = calls.now() + 2min;
        for (;;) {
            queue.enter(found.size() < many, patience);
            queue.reap([&](std::uint64_t name, completion what) {
                CHECK(found.emplace(name, what.result).second);
            });
            if (found.size() >= many || calls.now() >= patience) break;
        }
    }

    ringdown::system_calls& calls;
    ring queue;
    answers found;
    std::vector<std::unique_ptr<__kernel_timespec>> times;
};

template <class Script>
void on_both(Script script, const answers& expected, std::chrono::milliseconds least) {
    sim_kernel simulated({.disturbed = false});
    for (ringdown::system_calls* calls :
         {&kernel(), static_cast<ringdown::system_calls*>(&simulated)}) {
        CAPTURE((calls == &simulated));
        timeouts on(*calls);
        const auto begun = calls->now();
        script(on);
        CHECK(on.found == expected);
        CHECK(calls->now() - begun >= least);
        // A real machine is as slow as it likes, but the timeouts that are not meant are of
        // minutes.
        CHECK(calls->now() - begun < (calls == &simulated ? least + 1ms : 30s));
    }
}

/// Is set somewhere, again and again, and notes how late it came.
class wandering final : public timer {
public:
    explicit wandering(loop& on) : timer(on.timers()), on_(on) {}
    void set(time_point when) {
        due_ = when;
        timer::set(when);
    }
    std::chrono::nanoseconds latest{};
    bool early = false;
    int times = 0;

private:
    void expired() noexcept override {
        ++times;
        early = early || on_.now() < due_;
        latest = std::max<std::chrono::nanoseconds>(latest, on_.now() - due_);
    }
    loop& on_;
    time_point due_{};
};

} // namespace

TEST_CASE("sim_kernel: a timeout rings at its time") {
    on_both(
        [](timeouts& on) {
            on.arm(1, 20ms);
            on.take(1);
        },
        {{1, -ETIME}}, 20ms);
}

TEST_CASE(
    "sim_kernel: a timeout is moved earlier and later, and more than once in one submission") {
    on_both(
        [](timeouts& on) {
            on.arm(1, 1min);
            on.move(2, 1, 10ms);
            on.take(2);
        },
        {{1, -ETIME}, {2, 0}}, 10ms);
    on_both(
        [](timeouts& on) {
            on.arm(1, 1ms);
            on.move(2, 1, 60ms);
            on.take(2);
        },
        {{1, -ETIME}, {2, 0}}, 60ms);
    on_both(
        [](timeouts& on) {
            on.arm(1, 1min);
            on.move(2, 1, 50s);
            on.move(3, 1, 10ms);
            on.take(3);
        },
        {{1, -ETIME}, {2, 0}, {3, 0}}, 10ms);
}

TEST_CASE("sim_kernel: a timeout that has rung is neither moved nor cancelled") {
    on_both(
        [](timeouts& on) {
            on.arm(1, 1ms);
            on.take(1);
            on.move(2, 1, 10ms);
            on.cancel(3, 1);
            on.take(3);
        },
        {{1, -ETIME}, {2, -ENOENT}, {3, -ENOENT}}, 1ms);
}

TEST_CASE("sim_kernel: a timeout that is cancelled ends at once, and moves no more") {
    on_both(
        [](timeouts& on) {
            on.arm(1, 1min);
            on.take(0);
            on.cancel(2, 1);
            on.take(2);
            on.move(3, 1, 10ms);
            on.take(3);
        },
        {{1, -ECANCELED}, {2, 0}, {3, -ENOENT}}, 0ms);
}

TEST_CASE("alarm: timers that are set and unset at random are punctual, in any order of events") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        sim_options options{.seed = seed};
        if (seed % 3 == 0) options.submission_entries_max = 1 + seed % 4;
        if (seed % 4 == 0) options.completion_entries_max = 2;
        if (seed % 5 == 0) options.missing.add(capability::skip_success);
        if (seed % 7 == 0) options.missing.add(capability::defer_taskrun);
        sim_kernel simulated(options);
        {
            loop_options with;
            with.calls = &simulated;
            loop on(with);
            std::vector<std::unique_ptr<wandering>> all;
            for (int i = 0; i < 40; ++i)
                all.push_back(std::make_unique<wandering>(on));
            wandering far(on);
            far.set(on.now() + 1h);
            auto ended = on.now();
            for (int run = 0; run < 3; ++run) {
                const auto body = [&]() -> task<void> {
                    simulated.disturb();
                    std::mt19937_64 dice(seed);
                    for (int step = 0; step < 150; ++step) {
                        wandering& one = *all[dice() % all.size()];
                        const auto most = std::uint64_t{50'000} << dice() % 16;
                        if (dice() % 4 == 0)
                            one.unset();
                        else
                            one.set(on.now() + std::chrono::nanoseconds(dice() % most));
                        if (dice() % 3 == 0)
                            static_cast<void>(co_await sleep_for(1ms * (dice() % 40)));
                        else
                            co_await noop();
                    }
                    ended = on.now();
                };
                on.run(body());
                CHECK(on.now() - ended < 1ms); // no timer that is left holds the end up
            }
            int times = 0;
            for (const auto& each : all) {
                times += each->times;
                CHECK_FALSE(each->early);
                CHECK(each->latest < 1ms);
            }
            CHECK(times > 40);
        }
        CHECK(simulated.violations().empty());
        CHECK(simulated.operations_in_flight() == 0);
    }
}

TEST_CASE("alarm: a timer that outlives the run does not hold it up, and counts in the next") {
    sim_kernel simulated({.disturbed = false});
    loop_options with;
    with.calls = &simulated;
    loop on(with);
    wandering outlives(on);
    const auto due = on.now() + 300ms;
    outlives.set(due);
    const auto few_turns = [&]() -> task<void> {
        for (int turn = 0; turn < 3; ++turn)
            co_await noop();
    };
    for (int run = 0; run < 2; ++run) {
        on.run(few_turns());
        CHECK(on.now() < due);
        CHECK(outlives.times == 0);
    }
    const auto until_then = [&]() -> task<void> { CHECK(co_await sleep_until(due + 10ms)); };
    on.run(until_then());
    CHECK(outlives.times == 1);
    CHECK(outlives.latest < 1ms);
}

TEST_CASE("alarm: what a task does between the setting of a timer and the wait makes it no later") {
    for (const bool works : {false, true}) {
        CAPTURE(works);
        sim_kernel simulated({.disturbed = false});
        loop_options with;
        with.calls = &simulated;
        loop on(with);
        wandering one(on);
        const auto body = [&]() -> task<void> {
            one.set(on.now() + 60ms);
            for (int turn = 0; turn < 3; ++turn) {
                co_await noop();
                simulated.pass(15ms); // as a task that computes
            }
            while (works && one.times == 0)
                co_await noop();
            static_cast<void>(co_await sleep_for(100ms));
        };
        on.run(body());
        CHECK(one.times == 1);
        CHECK_FALSE(one.early);
        CHECK(one.latest < 1ms);
    }
}
