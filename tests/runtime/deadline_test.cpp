#include <stdexcept>
#include <thread>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/poll.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "support/fixture.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

task<result<void>> for_ever(loop& on) { co_return co_await sleep_for(on, 1h); }

task<result<unsigned>> poll_for_ever(loop& on, int fd) { co_return co_await poll(on, fd, POLLIN); }

} // namespace

TEST_CASE("with_deadline: a task that is too slow answers deadline_passed, at the deadline") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto start = on.loop.now();
        const auto late = co_await with_deadline(on.loop, start + 20ms, for_ever(on.loop));
        REQUIRE(!late);
        CHECK(late.error() == errc::deadline_passed);
        CHECK(late.error() == std::errc::timed_out);
        CHECK(on.loop.now() - start >= 20ms);
        CHECK(on.loop.now() - start < 2s);
    });
}

TEST_CASE("with_deadline: a ring operation that is too slow answers deadline_passed as well") {
    test_loop on;
    const int never = ::eventfd(0, EFD_CLOEXEC);
    on.run([&]() -> task<void> {
        const auto late =
            co_await with_deadline(on.loop, on.loop.now() + 5ms, poll_for_ever(on.loop, never));
        REQUIRE(!late);
        CHECK(late.error() == errc::deadline_passed);
    });
    ::close(never);
}

TEST_CASE("with_deadline: a deadline that is past already cancels, but not what ends at once") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto past = on.loop.now() - 1s;
        const auto late = co_await with_deadline(on.loop, past, for_ever(on.loop));
        REQUIRE(!late);
        CHECK(late.error() == errc::deadline_passed);
        auto at_once = []() -> task<int> { co_return 4; };
        CHECK(co_await with_deadline(on.loop, past, at_once()) == 4);
    });
}

TEST_CASE("with_deadline: a task in time answers its value, and the deadline is forgotten") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto quick = [&]() -> task<result<int>> {
            co_await noop(on.loop);
            co_return 5;
        };
        const auto in_time = co_await with_deadline(on.loop, on.loop.now() + 1h, quick());
        REQUIRE(in_time);
        CHECK(*in_time == 5);
        CHECK(on.loop.timers().empty());
    });
}

TEST_CASE("with_deadline: what was achieved in spite of the deadline is answered") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto half = [&]() -> task<result<int>> {
            const auto slept = co_await sleep_for(on.loop, 1h);
            CHECK(!slept);
            co_return 3;
        };
        const auto kept = co_await with_deadline(on.loop, on.loop.now() + 1ms, half());
        REQUIRE(kept);
        CHECK(*kept == 3);
    });
}

TEST_CASE("with_deadline: an error other than the cancellation stays what it is") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto broken = [&]() -> task<result<int>> {
            (void)co_await sleep_for(on.loop, 1h);
            co_return std::unexpected(std::make_error_code(std::errc::io_error));
        };
        const auto error = co_await with_deadline(on.loop, on.loop.now() + 1ms, broken());
        REQUIRE(!error);
        CHECK(error.error() == std::errc::io_error);
    });
}

TEST_CASE("with_deadline: tasks without an error are cancelled all the same") {
    test_loop on;
    on.run([&]() -> task<void> {
        int steps = 0;
        auto plain = [&]() -> task<void> {
            (void)co_await sleep_for(on.loop, 1h);
            ++steps;
        };
        co_await with_deadline(on.loop, on.loop.now() + 1ms, plain());
        CHECK(steps == 1);
        auto number = [&]() -> task<int> {
            co_await plain();
            co_return 9;
        };
        CHECK(co_await with_deadline(on.loop, on.loop.now() + 1ms, number()) == 9);
    });
}

TEST_CASE("with_deadline: an outer cancellation is told as such, not as the deadline") {
    test_loop on;
    std::error_code told;
    on.run([&]() -> task<void> {
        co_await with_scope(on.loop, [&](scope& inside) -> task<void> {
            auto body = [](loop& turning, std::error_code& into) -> task<void> {
                const auto ended =
                    co_await with_deadline(turning, turning.now() + 1h, for_ever(turning));
                into = ended.error();
            };
            inside.spawn(body(on.loop, told));
            inside.cancel();
            co_return;
        });
    });
    CHECK(told == std::errc::operation_canceled);
    CHECK(told != errc::deadline_passed);
}

TEST_CASE("with_deadline: of two nested ones the earlier holds, whichever it is") {
    test_loop on;
    on.run([&]() -> task<void> {
        for (const bool outer_first : {false, true}) {
            const auto soon = on.loop.now() + 2ms;
            const auto late = on.loop.now() + 1h;
            const auto ended = co_await with_deadline(
                on.loop, outer_first ? soon : late,
                with_deadline(on.loop, outer_first ? late : soon, for_ever(on.loop)));
            REQUIRE(!ended);
            CHECK(ended.error() == errc::deadline_passed);
        }
    });
}

TEST_CASE("with_deadline: an exception passes") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto throws = [&]() -> task<result<int>> {
            co_await noop(on.loop);
            throw std::runtime_error("on purpose");
        };
        CHECK_THROWS_WITH(co_await with_deadline(on.loop, on.loop.now() + 1h, throws()),
                          "on purpose");
        CHECK(on.loop.timers().empty());
    });
}

TEST_CASE("with_deadline: a hundred of them cost one submission entry, the loop's alarm") {
    test_loop on;
    on.run([&]() -> task<void> {
        co_await noop(on.loop);
        const auto before = on.loop.statistics().submitted;
        for (int i = 0; i < 100; ++i)
            co_await with_deadline(on.loop, on.loop.now() + 1h, turns(on.loop, 1));
        CHECK(on.loop.statistics().submitted - before == 100 + 1);
    });
}

TEST_CASE("with_deadline: a deadline at the end of time never passes, and costs no turns") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto before = on.loop.statistics().enters;
        event happened;
        auto body = [&]() -> task<void> { CHECK(co_await happened.wait(on.loop)); };
        std::thread other([&] {
            std::this_thread::sleep_for(30ms);
            on.loop.post([&] { happened.set(); });
        });
        co_await with_deadline(on.loop, loop::time_point::max(), body());
        other.join();
        CHECK(on.loop.statistics().enters - before < 50);
    });
}

TEST_CASE("as_task: an operation can be given a deadline") {
    test_loop on;
    const int never = ::eventfd(0, EFD_CLOEXEC);
    on.run([&]() -> task<void> {
        const auto late = co_await with_deadline(
            on.loop, on.loop.now() + 5ms, as_task([&] { return poll(on.loop, never, POLLIN); }));
        REQUIRE(!late);
        CHECK(late.error() == errc::deadline_passed);
        CHECK(co_await with_deadline(on.loop, on.loop.now() + 1h,
                                     as_task([&] { return noop(on.loop); })));
    });
    ::close(never);
}
