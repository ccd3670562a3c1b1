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

task<result<void>> for_ever() { co_return co_await sleep_for(1h); }

task<result<unsigned>> poll_for_ever(int fd) { co_return co_await poll(fd, POLLIN); }

} // namespace

TEST_CASE("with_deadline: a task that is too slow answers deadline_passed, at the deadline") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto start = on.loop.now();
        const auto late = co_await with_deadline(start + 20ms, for_ever());
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
        const auto late = co_await with_deadline(on.loop.now() + 5ms, poll_for_ever(never));
        REQUIRE(!late);
        CHECK(late.error() == errc::deadline_passed);
    });
    ::close(never);
}

TEST_CASE("with_deadline: a deadline that is past already cancels, but not what ends at once") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto past = on.loop.now() - 1s;
        const auto late = co_await with_deadline(past, for_ever());
        REQUIRE(!late);
        CHECK(late.error() == errc::deadline_passed);
        auto at_once = []() -> task<int> { co_return 4; };
        CHECK(co_await with_deadline(past, at_once()) == 4);
    });
}

TEST_CASE("with_deadline: a task in time answers its value, and the deadline is forgotten") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto quick = [&]() -> task<result<int>> {
            co_await noop();
            co_return 5;
        };
        const auto in_time = co_await with_deadline(on.loop.now() + 1h, quick());
        REQUIRE(in_time);
        CHECK(*in_time == 5);
        CHECK(on.loop.timers().empty());
    });
}

TEST_CASE("with_deadline: what was achieved in spite of the deadline is answered") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto half = [&]() -> task<result<int>> {
            const auto slept = co_await sleep_for(1h);
            CHECK(!slept);
            co_return 3;
        };
        const auto kept = co_await with_deadline(on.loop.now() + 1ms, half());
        REQUIRE(kept);
        CHECK(*kept == 3);
    });
}

TEST_CASE("with_deadline: an error other than the cancellation stays what it is") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto broken = [&]() -> task<result<int>> {
            (void)co_await sleep_for(1h);
            co_return std::unexpected(std::make_error_code(std::errc::io_error));
        };
        const auto error = co_await with_deadline(on.loop.now() + 1ms, broken());
        REQUIRE(!error);
        CHECK(error.error() == std::errc::io_error);
    });
}

TEST_CASE("with_deadline: tasks without an error are cancelled all the same") {
    test_loop on;
    on.run([&]() -> task<void> {
        int steps = 0;
        auto plain = [&]() -> task<void> {
            (void)co_await sleep_for(1h);
            ++steps;
        };
        co_await with_deadline(on.loop.now() + 1ms, plain());
        CHECK(steps == 1);
        auto number = [&]() -> task<int> {
            co_await plain();
            co_return 9;
        };
        CHECK(co_await with_deadline(on.loop.now() + 1ms, number()) == 9);
    });
}

TEST_CASE("with_deadline: an outer cancellation is told as such, not as the deadline") {
    test_loop on;
    std::error_code told;
    on.run([&]() -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            auto body = [](loop& turning, std::error_code& into) -> task<void> {
                const auto ended = co_await with_deadline(turning.now() + 1h, for_ever());
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
                outer_first ? soon : late, with_deadline(outer_first ? late : soon, for_ever()));
            REQUIRE(!ended);
            CHECK(ended.error() == errc::deadline_passed);
        }
    });
}

TEST_CASE("with_deadline: an exception passes") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto throws = [&]() -> task<result<int>> {
            co_await noop();
            throw std::runtime_error("on purpose");
        };
        CHECK_THROWS_WITH(co_await with_deadline(on.loop.now() + 1h, throws()), "on purpose");
        CHECK(on.loop.timers().empty());
    });
}

TEST_CASE("with_deadline: a hundred of them cost one submission entry, the loop's alarm") {
    test_loop on;
    on.run([&]() -> task<void> {
        co_await noop();
        const auto before = on.loop.statistics().submitted;
        for (int i = 0; i < 100; ++i)
            co_await with_deadline(on.loop.now() + 1h, turns(1));
        CHECK(on.loop.statistics().submitted - before == 100 + 1);
    });
}

TEST_CASE("with_deadline: a deadline at the end of time never passes, and costs no turns") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto before = on.loop.statistics().enters;
        event happened;
        auto body = [&]() -> task<void> { CHECK(co_await happened.wait()); };
        std::thread other([&] {
            std::this_thread::sleep_for(30ms);
            on.loop.post([&] { happened.set(); });
        });
        co_await with_deadline(loop::time_point::max(), body());
        other.join();
        CHECK(on.loop.statistics().enters - before < 50);
    });
}

TEST_CASE("with_deadline: an operation is given as it was made") {
    test_loop on;
    const int never = ::eventfd(0, EFD_CLOEXEC);
    on.run([&]() -> task<void> {
        const auto late = co_await with_deadline(on.loop.now() + 5ms, poll(never, POLLIN));
        REQUIRE(!late);
        CHECK(late.error() == errc::deadline_passed);
        CHECK(co_await with_deadline(on.loop.now() + 1h, noop()));
        event happened;
        const auto past = co_await with_deadline(on.loop.now() - 1s, happened.wait());
        REQUIRE(!past);
        CHECK(past.error() == errc::deadline_passed);
        happened.set();
        CHECK(co_await with_deadline(on.loop.now() - 1s, happened.wait()));
    });
    ::close(never);
}

TEST_CASE("with_deadline: an operation that has a name is moved in") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto short_sleep = sleep_for(1us);
        CHECK(co_await with_deadline(on.loop.now() + 1h, std::move(short_sleep)));
        auto long_sleep = sleep_for(1h);
        auto timed = with_deadline(on.loop.now() + 1ms, std::move(long_sleep));
        const auto late = co_await timed;
        REQUIRE(!late);
        CHECK(late.error() == errc::deadline_passed);
    });
}

TEST_CASE("with_deadline: what is awaited behind it is governed as before") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto late_then_wait = [](std::error_code why) -> task<result<void>> {
            loop& here = co_await current_loop{};
            const auto late = co_await with_deadline(here.now() - 1s, sleep_for(1h));
            CHECK(late.error() == why);
            co_return co_await sleep_for(1us);
        };
        CHECK(co_await late_then_wait(make_error_code(errc::deadline_passed)));
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.cancel();
            const auto ended = co_await late_then_wait(canceled());
            CHECK_FALSE(ended);
        });
    });
}
