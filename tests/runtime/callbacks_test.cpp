#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/noop.hpp>

#include "support/fixture.hpp"

using namespace ringdown;

namespace {

std::move_only_function<void()> throwing(const char* what) {
    return [what] { throw std::runtime_error(what); };
}

} // namespace

TEST_CASE("callbacks: a posted call that throws stops nothing, and run throws it as it ends") {
    test_loop on;
    std::vector<int> ran;
    auto body = [&]() -> task<int> {
        on.loop.post([&] { ran.push_back(1); });
        on.loop.post(throwing("first"));
        on.loop.post(throwing("second"));
        on.loop.post([&] { ran.push_back(2); });
        co_await turns(3);
        CHECK(ran == std::vector{1, 2});
        CHECK(on.loop.callback_failures() == 2);
        ran.push_back(3);
        co_return 5;
    };
    CHECK_THROWS_WITH_AS(on.run(body), "first", std::runtime_error);
    CHECK(ran == std::vector{1, 2, 3});
    CHECK(on.run([]() -> task<int> { co_return 7; }) == 7); // it was thrown once
    CHECK(on.loop.callback_failures() == 2);
}

TEST_CASE("callbacks: of a task and a callback that throw, run throws the first") {
    test_loop on;
    auto task_last = [&]() -> task<void> {
        on.loop.post(throwing("callback"));
        co_await turns(3);
        throw std::runtime_error("task");
    };
    CHECK_THROWS_WITH(on.run(task_last), "callback");
    auto task_first = [&]() -> task<void> {
        on.loop.post(throwing("callback"));
        throw std::runtime_error("task");
        co_return;
    };
    CHECK_THROWS_WITH(on.run(task_first), "task");
    // The call that came too late for that run is thrown by the one in which it ran.
    try {
        on.run([&]() -> task<void> { co_await turns(3); });
    } catch (const std::runtime_error& thrown) {
        CHECK(std::string(thrown.what()) == "callback");
    }
    CHECK(on.loop.callback_failures() == 2);
}

TEST_CASE(
    "callbacks: what is kept outside of any run is thrown by the next, or with the loop by none") {
    for (const bool runs : {true, false}) {
        test_loop on;
        auto thrown = throwing("outside");
        on.loop.call_back(thrown);
        CHECK(on.loop.callback_failures() == 1);
        if (runs) CHECK_THROWS_WITH(on.run([]() -> task<void> { co_return; }), "outside");
    }
}
