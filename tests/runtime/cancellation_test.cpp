#include <optional>

#include <doctest/doctest.h>

#include <ringdown/runtime/cancellation.hpp>
#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/sleep.hpp>
#include <ringdown/runtime/when.hpp>

#include "support/fixture.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

task<bool> runs_on(const loop& expected) {
    loop& found = co_await current_loop{};
    co_return &found == &expected;
}

} // namespace

TEST_CASE("current_loop: the one that runs the task, spawned or awaited, under any combinator") {
    test_loop on;
    on.run([&]() -> task<void> {
        CHECK(co_await runs_on(on.loop));
        CHECK(co_await with_deadline(on.loop.now() + 1h, runs_on(on.loop)));
        auto [one, other] = co_await when_all(runs_on(on.loop), runs_on(on.loop));
        CHECK(one);
        CHECK(other);
        bool below = false;
        auto note = [](const loop& expected, bool& into) -> task<void> {
            co_await noop();
            into = co_await runs_on(expected);
        };
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(note(on.loop, below));
            CHECK(co_await runs_on(on.loop));
        });
        CHECK(below);
    });
}

TEST_CASE("current_loop: of two loops, each task has its own, and waits there") {
    test_loop first, second;
    for (test_loop* on : {&first, &second, &first}) {
        const auto before = on->loop.statistics().submitted;
        on->run([&]() -> task<void> {
            CHECK(co_await runs_on(on->loop));
            CHECK(co_await noop());
            CHECK(co_await sleep_for(1us));
        });
        CHECK(on->loop.statistics().submitted > before);
    }
}

TEST_CASE("current_loop: within one run of a loop, another loop's run has its own") {
    test_loop outer, inner;
    outer.run([&]() -> task<void> {
        CHECK(inner.run([&] { return runs_on(inner.loop); }));
        CHECK(co_await runs_on(outer.loop));
    });
}

TEST_CASE("governed_by: a task and what it awaits are cancelled by that node, and by those above") {
    test_loop on;
    on.run([&]() -> task<void> {
        for (const bool from_above : {false, true}) {
            std::optional<result<void>> ended;
            bool goes_on = false;
            cancellation* node = nullptr;
            auto body = [&]() -> task<void> {
                cancellation* ambient = co_await current_cancellation{};
                cancellation own(ambient);
                node = &own;
                co_await governed_by{own};
                CHECK(co_await current_cancellation{} == &own);
                auto deeper = []() -> task<result<void>> { co_return co_await sleep_for(1h); };
                ended = co_await deeper();
            };
            auto beside = [&]() -> task<void> {
                const auto slept = co_await sleep_for(from_above ? 1h : 0h);
                goes_on = slept.has_value();
            };
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(body());
                inside.spawn(beside());
                co_await noop();
                if (from_above)
                    inside.cancel();
                else
                    node->request();
            });
            REQUIRE(ended);
            CHECK(ended->error() == std::errc::operation_canceled);
            CHECK(goes_on == !from_above);
        }
    });
}

TEST_CASE("governed_by: a node that was cancelled before cancels the next wait") {
    test_loop on;
    on.run([&]() -> task<void> {
        cancellation* ambient = co_await current_cancellation{};
        cancellation own(ambient);
        own.request();
        CHECK(co_await noop());
        co_await governed_by{own};
        const auto slept = co_await sleep_for(1h);
        CHECK(slept.error() == std::errc::operation_canceled);
    });
}
