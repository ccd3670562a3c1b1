#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "support/fixture.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

task<int> five() {
    co_await noop();
    co_return 5;
}

/// Counts how often it was moved away alive, or destroyed without having been called.
struct call {
    explicit call(std::atomic<int>& ran, std::atomic<int>& dropped)
        : ran_(&ran), dropped_(&dropped) {}
    call(call&& other) noexcept
        : ran_(std::exchange(other.ran_, nullptr)), dropped_(other.dropped_) {}
    ~call() {
        if (ran_) ++*dropped_;
    }
    void operator()() { ++*std::exchange(ran_, nullptr); }
    std::atomic<int>* ran_;
    std::atomic<int>* dropped_;
};

} // namespace

TEST_CASE("loop: calls posted by many threads run on its thread, each once") {
    test_loop on;
    constexpr int threads = 4, calls = 5000;
    std::atomic<int> ran = 0, dropped = 0;
    const auto own = std::this_thread::get_id();
    on.run([&]() -> task<void> {
        event all;
        int elsewhere = 0;
        std::vector<std::thread> others;
        for (int i = 0; i < threads; ++i)
            others.emplace_back([&] {
                for (int n = 0; n < calls; ++n)
                    on.loop.post([&, counted = call(ran, dropped)]() mutable {
                        if (std::this_thread::get_id() != own) ++elsewhere;
                        counted();
                        if (ran == threads * calls) all.set();
                    });
            });
        CHECK(co_await all.wait());
        for (auto& other : others)
            other.join();
        CHECK(elsewhere == 0);
    });
    CHECK(ran == threads * calls);
    CHECK(dropped == 0);
}

TEST_CASE("loop: calls posted by one thread run in their order") {
    test_loop on;
    on.run([&]() -> task<void> {
        event all;
        std::vector<int> order;
        std::thread other([&] {
            for (int n = 0; n < 3000; ++n)
                on.loop.post([&, n] {
                    order.push_back(n);
                    if (n == 2999) all.set();
                });
        });
        CHECK(co_await all.wait());
        other.join();
        CHECK(std::ranges::is_sorted(order));
        CHECK(order.size() == 3000);
    });
}

TEST_CASE("loop: a call posted before run, or by another call, runs") {
    test_loop on;
    event second;
    on.loop.post([&] { on.loop.post([&] { second.set(); }); });
    on.run([&]() -> task<void> { CHECK(co_await second.wait()); });
}

TEST_CASE("loop: a posted call may spawn") {
    test_loop on;
    on.run([&]() -> task<void> {
        event ended;
        auto body = [&]() -> task<void> {
            CHECK(co_await noop());
            ended.set();
        };
        on.loop.post([&] { on.loop.spawn(body()); });
        CHECK(co_await ended.wait());
    });
}

TEST_CASE("loop: calls posted while runs end are run by this run or the next, none is lost") {
    std::atomic<int> ran = 0, dropped = 0;
    std::atomic<int> posted = 0;
    {
        test_loop on;
        std::atomic<bool> enough = false;
        std::thread other([&] {
            while (!enough) {
                on.loop.post(call(ran, dropped));
                ++posted;
                if (posted % 16 == 0) std::this_thread::yield();
            }
        });
        for (int i = 0; i < 500; ++i) {
            on.run([&]() -> task<void> { co_await noop(); });
            CHECK(on.loop.operations_in_flight() == 0);
        }
        enough = true;
        other.join();
        event last;
        on.loop.post([&] { last.set(); });
        on.run([&]() -> task<void> { CHECK(co_await last.wait()); });
        CHECK(ran == posted);
    }
    CHECK(ran == posted);
    CHECK(dropped == 0);
}

TEST_CASE("loop: a call that was never run is destroyed with the loop") {
    std::atomic<int> ran = 0, dropped = 0;
    {
        test_loop on;
        on.loop.post(call(ran, dropped));
    }
    CHECK(ran == 0);
    CHECK(dropped == 1);
}

TEST_CASE("loop: a task that a late call spawns is joined before run returns") {
    test_loop on;
    for (int i = 0; i < 200; ++i) {
        int started = 0, ended = 0;
        on.run([&]() -> task<void> {
            auto body = [](int& begun, int& done) -> task<void> {
                ++begun;
                (void)co_await noop();
                ++done;
            };
            for (int n = 0; n <= i % 3; ++n)
                on.loop.post(
                    [&on, &started, &ended, body] { on.loop.spawn(body(started, ended)); });
            if (i % 2) co_await noop();
        });
        CHECK(started == ended);
        // Those that this run did not come to are run here, while what they name is alive.
        event last;
        on.loop.post([&] { last.set(); });
        on.run([&]() -> task<void> { CHECK(co_await last.wait()); });
        CHECK(started == ended);
        CHECK(started == i % 3 + 1);
    }
}

TEST_CASE("loop: stop, from another thread, cancels everything, and run answers all the same") {
    test_loop on;
    for (int i = 0; i < 20; ++i) {
        std::thread other;
        int joined = 0;
        auto body = [&]() -> task<void> {
            CHECK(!co_await sleep_for(1h));
            ++joined;
        };
        const int answer = on.run([&]() -> task<int> {
            on.loop.spawn(body());
            other = std::thread([&] { on.loop.stop(); });
            const auto slept = co_await sleep_for(1h);
            CHECK(slept.error() == std::errc::operation_canceled);
            CHECK(!co_await noop());
            co_return 7;
        });
        other.join();
        CHECK(answer == 7);
        CHECK(joined == 1);
    }
}

TEST_CASE("loop: a stopped one runs again") {
    test_loop on;
    on.run([&]() -> task<void> {
        on.loop.stop();
        CHECK(!co_await sleep_for(1h));
    });
    CHECK(on.run([&]() -> task<bool> { co_return (co_await noop()).has_value(); }));
}

TEST_CASE("loop: a stop that comes too late for its run does nothing to the next") {
    test_loop on;
    const auto sleeps_whole = [&]() -> task<bool> {
        co_return (co_await sleep_for(1ms)).has_value();
    };
    for (int i = 0; i < 20; ++i) {
        on.run([&]() -> task<void> {
            on.loop.stop(); // the run ends before it has looked
            co_return;
        });
        CHECK(on.run(sleeps_whole));
        std::thread other;
        on.run([&]() -> task<void> {
            other = std::thread([&] {
                on.loop.stop();
                on.loop.stop();
            });
            CHECK(!co_await sleep_for(1h));
        });
        other.join();
        CHECK(on.run(sleeps_whole));
        on.loop.stop(); // between two runs
        CHECK(on.run(sleeps_whole));
    }
}

TEST_CASE("loop: a stop before the first run ends that one, and no other") {
    test_loop on;
    on.loop.stop();
    on.run([&]() -> task<void> { CHECK(!co_await sleep_for(1h)); });
    on.run([&]() -> task<void> { CHECK(co_await sleep_for(1ms)); });
}

TEST_CASE("loop: made by one thread it runs on another, and is destroyed by the first") {
    const leak_guard unchanged;
    for (int i = 0; i < 20; ++i) {
        loop on;
        std::thread([&] { CHECK(on.run(five()) == 5); }).join();
    }
}

TEST_CASE("loop: destroying one that ran on another thread leaves this thread's loop alone") {
    test_loop on;
    on.run([&]() -> task<void> {
        {
            loop elsewhere;
            std::thread([&] { CHECK(elsewhere.run(five()) == 5); }).join();
        }
        CHECK(co_await noop());
        const auto before = on.loop.statistics().enters;
        CHECK(co_await sleep_for(5ms));
        CHECK(on.loop.statistics().enters - before < 10);
    });
}
