#include <memory>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/sleep.hpp>
#include <ringdown/runtime/when.hpp>

#include "support/fixture.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

task<int> after(int count, int value) {
    co_await turns(count);
    co_return value;
}

task<std::string> at_once(std::string value) { co_return value; }

task<result<void>> for_ever() { co_return co_await sleep_for(1h); }

/// Does half of its work and keeps it when it is cancelled.
task<int> half() {
    int done = 1;
    const auto slept = co_await sleep_for(1h);
    if (slept) ++done;
    co_return done;
}

task<int> fails(int count) {
    co_await turns(count);
    throw std::runtime_error("on purpose");
}

} // namespace

TEST_CASE("when_all: answers every value in the order of the arguments") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [slow, text, empty, quick] =
            co_await when_all(after(5, 1), at_once("two"), turns(3), after(1, 3));
        CHECK(slow == 1);
        CHECK(text == "two");
        CHECK(quick == 3);
        (void)empty;
    });
}

TEST_CASE("when_all: runs its tasks side by side") {
    test_loop on;
    on.run([&]() -> task<void> {
        event first, second;
        auto one = [&]() -> task<bool> {
            first.set();
            co_return (co_await second.wait()).has_value();
        };
        auto two = [&]() -> task<bool> {
            co_await first.wait();
            second.set();
            co_return true;
        };
        auto [a, b] = co_await when_all(one(), two());
        CHECK(a);
        CHECK(b);
    });
}

TEST_CASE("when_all: the first exception cancels the others and is thrown when all have ended") {
    test_loop on;
    bool joined = false;
    on.run([&]() -> task<void> {
        auto other = [&]() -> task<int> {
            CHECK(!co_await for_ever());
            joined = true;
            co_return 0;
        };
        CHECK_THROWS_WITH(co_await when_all(other(), fails(2)), "on purpose");
        CHECK(joined);
    });
}

TEST_CASE("when_all: cancelling reaches each, and their values are still answered") {
    test_loop on;
    int sum = 0;
    on.run([&]() -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn([](int& into) -> task<void> {
                auto [a, b] = co_await when_all(half(), half());
                into = a + b;
            }(sum));
            inside.cancel();
            co_return;
        });
    });
    CHECK(sum == 2);
}

TEST_CASE("when_any: answers the first to end, joins the others and keeps what they achieved") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto any = co_await when_any(half(), after(2, 7), for_ever());
        CHECK(any.first == 1);
        CHECK(*std::get<1>(any.values) == 7);
        CHECK(*std::get<0>(any.values) == 1);
        REQUIRE(std::get<2>(any.values));
        CHECK(std::get<2>(any.values)->error() == std::errc::operation_canceled);
    });
}

TEST_CASE("when_any: a task that ends at once is the first") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto any = co_await when_any(for_ever(), at_once("now"), after(1, 1));
        CHECK(any.first == 1);
        CHECK(*std::get<1>(any.values) == "now");
        CHECK(std::get<2>(any.values));
    });
}

TEST_CASE("when_any: of two that end in the same turn both values are kept") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto any = co_await when_any(after(1, 1), after(1, 2));
        CHECK(any.first == 0);
        CHECK(*std::get<0>(any.values) == 1);
        CHECK(*std::get<1>(any.values) == 2);
    });
}

TEST_CASE("when_any: an exception of a loser is thrown, once all have ended") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto loser = [&]() -> task<int> {
            (void)co_await for_ever();
            throw std::runtime_error("late");
        };
        CHECK_THROWS_WITH(co_await when_any(loser(), after(1, 1)), "late");
    });
}

TEST_CASE("when_any: takes void tasks and values that can only be moved") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto pointer = [&]() -> task<std::unique_ptr<int>> {
            co_await noop();
            co_return std::make_unique<int>(3);
        };
        auto any = co_await when_any(pointer(), turns(50));
        CHECK(any.first == 0);
        CHECK(**std::get<0>(any.values) == 3);
        auto [a] = co_await when_all(pointer());
        CHECK(*a == 3);
    });
}

TEST_CASE("when_any: nests") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto inner = [&]() -> task<int> {
            auto any = co_await when_any(for_ever(), for_ever());
            CHECK(any.first == 0);
            co_return 1;
        };
        auto any = co_await when_any(inner(), after(2, 2));
        CHECK(any.first == 1);
        CHECK(*std::get<0>(any.values) == 1);
    });
}
