#include <concepts>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/task.hpp>

#include "support/fixture.hpp"

using namespace ringdown;

namespace {

task<int> plus_one(int value) { co_return value + 1; }

task<void> nothing_at_all() { co_return; }

task<int> depth(int levels) {
    if (levels == 0) {
        co_await noop();
        co_return 0;
    }
    co_return 1 + co_await depth(levels - 1);
}

task<int> fails(bool after_a_wait, int levels) {
    if (levels > 0) co_return co_await fails(after_a_wait, levels - 1);
    if (after_a_wait) co_await noop();
    throw std::runtime_error("on purpose");
}

struct counted {
    explicit counted(int& alive) : alive_(&alive) { ++*alive_; }
    counted(const counted& other) : alive_(other.alive_) { ++*alive_; }
    counted& operator=(const counted&) = delete;
    ~counted() { --*alive_; }
    int* alive_;
};

} // namespace

TEST_CASE("task: two million awaits that end at once do not grow the stack") {
    test_loop on;
    const int sum = on.run([]() -> task<int> {
        int value = 0;
        for (int i = 0; i < 2'000'000; ++i)
            value = co_await plus_one(value);
        co_return value;
    });
    CHECK(sum == 2'000'000);
}

TEST_CASE("task: awaits that end at once, between awaits that wait, do not grow the stack") {
    test_loop on;
    const int sum = on.run([&]() -> task<int> {
        int value = 0;
        for (int i = 0; i < 200'000; ++i) {
            if (i % 100 == 0) value += co_await depth(1) - 1;
            value = co_await plus_one(value);
        }
        co_return value;
    });
    CHECK(sum == 200'000);
}

TEST_CASE("task: twenty thousand awaits that wait do not grow the stack") {
    test_loop on;
    const int sum = on.run([&]() -> task<int> {
        int value = 0;
        for (int i = 0; i < 20'000; ++i)
            value += co_await depth(1);
        co_return value;
    });
    CHECK(sum == 20'000);
}

TEST_CASE("task: a million spawned tasks that end at once do not grow the stack") {
    test_loop on;
    on.run([&]() -> task<void> {
        for (int i = 0; i < 1'000'000; ++i)
            on.loop.spawn(nothing_at_all());
        co_return;
    });
}

TEST_CASE("task: a chain of a thousand waiting tasks is resumed from the leaf to the root") {
    test_loop on;
    CHECK(on.run([&] { return depth(1000); }) == 1000);
}

TEST_CASE("task: an exception is thrown where the task is awaited, through every level") {
    test_loop on;
    for (const bool after_a_wait : {false, true}) {
        for (const int levels : {0, 1, 100}) {
            CAPTURE(after_a_wait);
            CAPTURE(levels);
            std::string caught;
            on.run([&]() -> task<void> {
                try {
                    (void)co_await fails(after_a_wait, levels);
                } catch (const std::runtime_error& error) {
                    caught = error.what();
                }
            });
            CHECK(caught == "on purpose");
        }
    }
}

TEST_CASE("task: an exception that is not caught leaves run, and the loop can run again") {
    test_loop on;
    for (const bool after_a_wait : {false, true})
        CHECK_THROWS_WITH_AS(on.run([&] { return fails(after_a_wait, 3); }), "on purpose",
                             std::runtime_error);
    CHECK(on.run([] { return plus_one(1); }) == 2);
}

TEST_CASE("task: starts when it is awaited, not before") {
    test_loop on;
    bool started = false;
    on.run([&]() -> task<void> {
        auto body = [&]() -> task<void> {
            started = true;
            co_return;
        };
        auto lazy = body();
        co_await noop();
        CHECK_FALSE(started);
        co_await lazy;
        CHECK(started);
    });
}

TEST_CASE("task: one that was never started is destroyed with its arguments") {
    const leak_guard unchanged;
    int alive = 0;
    auto holding = [](counted) -> task<void> { co_return; };
    {
        const task<void> dropped = holding(counted(alive));
        CHECK(alive == 1);
    }
    CHECK(alive == 0);
    task<void> replaced = holding(counted(alive));
    replaced = nothing_at_all();
    CHECK(alive == 0);
}

TEST_CASE("task: locals are destroyed when it ends, also by an exception") {
    test_loop on;
    int alive = 0;
    for (const bool throws : {false, true}) {
        auto body = [&]() -> task<void> {
            const counted local(alive);
            co_await noop();
            CHECK(alive == 1);
            if (throws) throw std::runtime_error("on purpose");
        };
        if (throws)
            CHECK_THROWS(on.run(body));
        else
            on.run(body);
        CHECK(alive == 0);
    }
}

TEST_CASE("task: answers values that can only be moved, or have no default") {
    test_loop on;
    struct no_default {
        explicit no_default(int v) : value(v) {}
        int value;
    };
    auto pointer = [&]() -> task<std::unique_ptr<int>> {
        co_await noop();
        co_return std::make_unique<int>(5);
    };
    CHECK(*on.run(pointer) == 5);
    CHECK(on.run([]() -> task<no_default> { co_return no_default(6); }).value == 6);
}

TEST_CASE("task: co_return takes a list in braces, an error, and what converts") {
    test_loop on;
    auto empty = []() -> task<result<void>> { co_return {}; };
    CHECK(on.run(empty).has_value());
    auto number = []() -> task<result<long>> { co_return {}; };
    CHECK(on.run(number) == 0);
    auto converted = []() -> task<result<long>> { co_return short{7}; };
    CHECK(on.run(converted) == 7);
    auto refused = []() -> task<result<long>> {
        co_return std::unexpected(std::make_error_code(std::errc::timed_out));
    };
    CHECK(on.run(refused).error() == std::errc::timed_out);
    auto text = []() -> task<std::string> { co_return "text"; };
    CHECK(on.run(text) == "text");
    auto list = []() -> task<std::vector<int>> { co_return {1, 2, 3}; };
    CHECK(on.run(list) == std::vector{1, 2, 3});
    auto pair = []() -> task<std::pair<int, std::string>> { co_return {4, "four"}; };
    CHECK(on.run(pair).second == "four");
    auto none = []() -> task<std::optional<int>> { co_return {}; };
    CHECK_FALSE(on.run(none).has_value());
    static_assert(!std::convertible_to<int, std::vector<int>>);
}

TEST_CASE("task: the value is moved out once, and none is left behind") {
    test_loop on;
    int alive = 0;
    on.run([&]() -> task<void> {
        auto body = [&]() -> task<counted> { co_return counted(alive); };
        {
            const counted kept = co_await body();
            CHECK(alive == 1);
        }
        CHECK(alive == 0);
    });
}

TEST_CASE("task: can be moved before it is awaited") {
    test_loop on;
    CHECK(on.run([&]() -> task<int> {
        task<int> first = plus_one(1);
        task<int> second = std::move(first);
        first = plus_one(10);
        co_return co_await second + co_await std::move(first);
    }) == 13);
}
