#include <algorithm>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/internal/timer.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "support/fixture.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

/// Notes its number when it expires.
class noting final : public timer {
public:
    noting(timer_queue& queue, int number, std::vector<int>& into)
        : timer(queue), number_(number), into_(into) {}

private:
    void expired() noexcept override { into_.push_back(number_); }

    int number_;
    std::vector<int>& into_;
};

constexpr timer::time_point start{1h};

} // namespace

TEST_CASE("timer: expires at its time, not before, and once") {
    timer_queue queue;
    std::vector<int> seen;
    noting one(queue, 1, seen);
    CHECK_FALSE(queue.next());
    one.set(start + 10ms);
    CHECK(one.is_set());
    CHECK(queue.next() == start + 10ms);
    queue.expire(start + 10ms - 1ns);
    CHECK(seen.empty());
    queue.expire(start + 10ms);
    queue.expire(start + 1h);
    CHECK(seen == std::vector{1});
    CHECK_FALSE(one.is_set());
    CHECK(queue.empty());
}

TEST_CASE("timer: set again it moves, and does not count twice") {
    timer_queue queue;
    std::vector<int> seen;
    noting one(queue, 1, seen), two(queue, 2, seen);
    two.set(start + 5ms);
    one.set(start + 1ms);
    one.set(start + 9ms);
    queue.expire(start + 6ms);
    CHECK(seen == std::vector{2});
    one.set(start + 7ms);
    queue.expire(start + 8ms);
    queue.expire(start + 1h);
    CHECK(seen == std::vector{2, 1});
}

TEST_CASE("timer: unset or destroyed it never expires") {
    timer_queue queue;
    std::vector<int> seen;
    noting kept(queue, 1, seen);
    {
        noting dropped(queue, 2, seen), taken_back(queue, 3, seen);
        dropped.set(start);
        kept.set(start + 1ms);
        taken_back.set(start + 2ms);
        taken_back.unset();
        taken_back.unset();
        CHECK_FALSE(taken_back.is_set());
    }
    CHECK(queue.next() == start + 1ms);
    queue.expire(start + 1h);
    CHECK(seen == std::vector{1});
}

TEST_CASE("timer: may set itself or unset others as it expires") {
    struct hostile final : timer {
        hostile(timer_queue& queue, timer*& victim) : timer(queue), victim_(victim) {}
        void expired() noexcept override {
            ++count;
            if (victim_) victim_->unset();
            if (count < 3) set(start + count * 1ms);
        }
        timer*& victim_;
        int count = 0;
    };
    timer_queue queue;
    std::vector<int> seen;
    timer* victim = nullptr;
    noting other(queue, 1, seen);
    hostile again(queue, victim);
    again.set(start);
    other.set(start + 1us);
    victim = &other;
    queue.expire(start + 5ms);
    CHECK(again.count == 3);
    CHECK(seen.empty());
    CHECK(queue.empty());
}

TEST_CASE("timer: ten thousand, set, moved and unset at random, expire in order of time") {
    timer_queue queue;
    std::vector<int> seen;
    std::mt19937 random(17);
    std::vector<std::unique_ptr<noting>> all;
    std::vector<std::pair<int, int>> expected; // time, number
    for (int number = 0; number < 10'000; ++number) {
        all.push_back(std::make_unique<noting>(queue, number, seen));
        all.back()->set(start + std::chrono::microseconds(random() % 1'000'000));
    }
    for (int number = 0; number < 10'000; ++number) {
        const int at = static_cast<int>(random() % 1'000'000);
        if (number % 3 == 0) {
            all[static_cast<std::size_t>(number)]->unset();
            continue;
        }
        all[static_cast<std::size_t>(number)]->set(start + std::chrono::microseconds(at));
        expected.emplace_back(at, number);
    }
    std::vector<int> times(10'000);
    for (const auto& [at, number] : expected)
        times[static_cast<std::size_t>(number)] = at;
    timer::time_point last = start;
    while (const auto next = queue.next()) {
        CHECK(*next >= last);
        last = *next;
        queue.expire(last);
    }
    CHECK(seen.size() == expected.size());
    CHECK(std::ranges::is_sorted(
        seen, {}, [&](int number) { return times[static_cast<std::size_t>(number)]; }));
}

TEST_CASE("sleep: lasts at least its time, and one that is over already ends in the next turn") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto begun = on.loop.now();
        CHECK(co_await sleep_for(15ms));
        CHECK(on.loop.now() - begun >= 15ms);
        CHECK(co_await sleep_for(0ms));
        CHECK(co_await sleep_for(-1h));
        CHECK(co_await sleep_until(loop::time_point()));
        CHECK(on.loop.now() - begun < 2s);
    });
}

TEST_CASE("sleep: many end in the order of their times, whatever the order of their starts") {
    test_loop on;
    std::vector<int> seen;
    on.run([&]() -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            const auto base = on.loop.now() + 1ms;
            auto body = [&](int number) -> task<void> {
                CHECK(co_await sleep_until(base + number * 10us));
                seen.push_back(number);
            };
            for (int i = 0; i < 2000; ++i)
                inside.spawn(body(i * 7 % 2000));
            while (inside.children() > 0)
                CHECK(co_await sleep_for(1ms));
        });
    });
    CHECK(seen.size() == 2000);
    CHECK(std::ranges::is_sorted(seen));
}

TEST_CASE("sleep: costs no submission entry") {
    test_loop on;
    on.run([&]() -> task<void> {
        co_await noop();
        const auto before = on.loop.statistics();
        for (int i = 0; i < 20; ++i)
            CHECK(co_await sleep_for(100us));
        CHECK(on.loop.statistics().submitted == before.submitted);
        CHECK(on.loop.statistics().completions == before.completions);
    });
}

TEST_CASE("sleep: cancelled it ends at once, and its timer is gone") {
    test_loop on;
    std::vector<std::error_code> ends;
    on.run([&]() -> task<void> {
        const auto begun = on.loop.now();
        co_await with_scope([&](scope& inside) -> task<void> {
            auto body = [](std::vector<std::error_code>& into) -> task<void> {
                const auto slept = co_await sleep_for(1h);
                into.push_back(slept ? std::error_code() : slept.error());
            };
            for (int i = 0; i < 1000; ++i)
                inside.spawn(body(ends));
            inside.cancel();
            CHECK(on.loop.timers().empty());
            co_return;
        });
        CHECK(on.loop.now() - begun < 2s);
    });
    CHECK(ends.size() == 1000);
    for (const auto& end : ends)
        CHECK(end == std::errc::operation_canceled);
}

TEST_CASE("sleep: until the end of time costs no turns of the loop") {
    test_loop on;
    on.run([&]() -> task<void> {
        event happened;
        auto dreams = []() -> task<void> { CHECK(!co_await sleep_until(loop::time_point::max())); };
        on.loop.spawn(dreams());
        std::thread other([&] {
            std::this_thread::sleep_for(30ms);
            on.loop.post([&] { happened.set(); });
        });
        const auto before = on.loop.statistics().enters;
        CHECK(co_await happened.wait());
        CHECK(on.loop.statistics().enters - before < 50);
        other.join();
    });
}
