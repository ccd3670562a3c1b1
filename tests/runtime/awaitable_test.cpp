#include <memory>

#include <doctest/doctest.h>

#include <ringdown/runtime/awaitable.hpp>
#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/poll.hpp>
#include <ringdown/runtime/sleep.hpp>
#include <ringdown/runtime/when.hpp>

#include "support/fixture.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

task<std::unique_ptr<int>> pointer(int to) {
    co_await noop();
    co_return std::make_unique<int>(to);
}

} // namespace

TEST_CASE("awaitable: tasks and operations are, values are not, and each has its answer") {
    static_assert(awaitable<task<int>>);
    static_assert(awaitable<event::wait_operation>);
    static_assert(awaitable<decltype(noop())>);
    static_assert(awaitable<decltype(sleep_for(1s))>);
    static_assert(!awaitable<int>);
    static_assert(!awaitable<event>);
    static_assert(std::same_as<awaited<task<int>>, int>);
    static_assert(std::same_as<awaited<task<void>>, void>);
    static_assert(std::same_as<awaited<decltype(sleep_for(1s))>, result<void>>);
    static_assert(std::same_as<awaited<decltype(poll(0, 0))>, result<unsigned>>);
    static_assert(std::same_as<awaited<current_loop>, loop>);
}

TEST_CASE("when_all: takes operations beside tasks") {
    test_loop on;
    on.run([&]() -> task<void> {
        event happened;
        auto happens = [&]() -> task<void> {
            co_await turns(2);
            happened.set();
        };
        auto [waited, slept, turned, done, made] =
            co_await when_all(happened.wait(), sleep_for(1us), noop(), happens(), pointer(7));
        CHECK(waited);
        CHECK(slept);
        CHECK(turned);
        CHECK(*made == 7);
        (void)done;
    });
}

TEST_CASE("when_any: the operations that lose are cancelled, and answer so") {
    test_loop on;
    on.run([&]() -> task<void> {
        event never;
        auto any = co_await when_any(never.wait(), sleep_for(1h), noop());
        CHECK(any.first == 2);
        CHECK(std::get<0>(any.values)->error() == std::errc::operation_canceled);
        CHECK(std::get<1>(any.values)->error() == std::errc::operation_canceled);
        CHECK(std::get<2>(any.values)->has_value());
        CHECK(on.loop.timers().empty());
    });
}

TEST_CASE("when_any: an operation that loses and had achieved something answers that") {
    test_loop on;
    on.run([&]() -> task<void> {
        event happened;
        happened.set();
        auto any = co_await when_any(noop(), happened.wait());
        CHECK(any.first == 1);
        CHECK(std::get<1>(any.values)->has_value());
        CHECK(std::get<0>(any.values).has_value()); // in flight, so the kernel says what it was
    });
}

TEST_CASE("combinators: take one another") {
    test_loop on;
    on.run([&]() -> task<void> {
        event never;
        auto [late, any] = co_await when_all(with_deadline(on.loop.now() + 1ms, never.wait()),
                                             when_any(noop(), never.wait()));
        CHECK(late.error() == errc::deadline_passed);
        CHECK(any.first == 0);
    });
}
