#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <poll.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/poll.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "support/fixture.hpp"
#include "support/fixture_system.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

task<int> five() {
    co_await noop();
    co_return 5;
}

} // namespace

TEST_CASE("loop: run answers what main answers, any number of times") {
    test_loop on;
    for (int i = 0; i < 100; ++i)
        CHECK(on.loop.run(five()) == 5);
    CHECK(*on.run([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(1); }) == 1);
    on.run([]() -> task<void> { co_return; });
}

TEST_CASE("loop: a hundred of them, made and dropped, run or not, leave nothing behind") {
    const leak_guard unchanged;
    for (int i = 0; i < 100; ++i) {
        loop on;
        if (i % 2) CHECK(on.run(five()) == 5);
    }
}

TEST_CASE("loop: made where no descriptor is left it throws, and leaks none") {
    const leak_guard unchanged;
    if (sanitized) {
        MESSAGE("skip: sanitizers want descriptors of their own");
        return;
    }
    {
        const loop once;
    }
    CHECK_FALSE(refusal_without_descriptors(0, [] { const loop refused; }).empty());
    CHECK_FALSE(refusal_without_descriptors(1, [] { const loop refused; }).empty());
}

TEST_CASE("loop: when main ends, what was spawned is cancelled and joined") {
    test_loop on;
    int joined = 0;
    on.run([&]() -> task<void> {
        for (int i = 0; i < 10; ++i)
            on.loop.spawn([](int& count) -> task<void> {
                CHECK(!co_await sleep_for(1h));
                ++count;
            }(joined));
        co_return;
    });
    CHECK(joined == 10);
}

TEST_CASE("loop: a spawned task that throws ends the run, and main is cancelled and joined") {
    test_loop on;
    bool joined = false;
    CHECK_THROWS_WITH_AS(on.run([&]() -> task<int> {
        on.loop.spawn([]() -> task<void> {
            co_await noop();
            throw std::runtime_error("spawned");
        }());
        CHECK(!co_await sleep_for(1h));
        joined = true;
        co_return 1;
    }),
                         "spawned", std::runtime_error);
    CHECK(joined);
    CHECK(on.loop.run(five()) == 5);
}

TEST_CASE("loop: a submission queue of four takes a thousand operations at once") {
    test_loop on({.ring = {.entries = 4, .completion_entries = 16, .disabled = {}}});
    int ended = 0;
    on.run([&]() -> task<void> {
        auto body = [&]() -> task<void> {
            for (int i = 0; i < 3; ++i)
                CHECK(co_await noop());
            ++ended;
        };
        co_await with_scope([&](scope& inside) -> task<void> {
            for (int i = 0; i < 1000; ++i)
                inside.spawn(body());
            co_return;
        });
    });
    CHECK(ended == 1000);
    CHECK(on.loop.statistics().queue_full > 0);
    CHECK(on.loop.statistics().overflows > 0);
}

TEST_CASE("loop: many operations cancelled at once through a queue of four all end") {
    test_loop on({.ring = {.entries = 4, .completion_entries = 4, .disabled = {}}});
    int pipes[2];
    REQUIRE(::pipe(pipes) == 0);
    int canceled = 0;
    on.run([&]() -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            auto body = [](int fd, int& count) -> task<void> {
                const auto ended = co_await poll(fd, POLLIN);
                REQUIRE(!ended);
                CHECK(ended.error() == std::errc::operation_canceled);
                ++count;
            };
            for (int i = 0; i < 300; ++i)
                inside.spawn(body(pipes[0], canceled));
            co_await turns(2);
            inside.cancel();
        });
    });
    CHECK(canceled == 300);
    ::close(pipes[0]);
    ::close(pipes[1]);
}

TEST_CASE("loop: does not wait while it holds completions that a refused submission set aside") {
    constexpr auto much_too_long = 500ms;
    refusing_system calls;
    test_loop on(
        {.ring = {.entries = 4, .completion_entries = 8, .disabled = {}}, .calls = &calls});
    int pipes[2];
    REQUIRE(::pipe(pipes) == 0);
    const auto start = on.loop.now();
    on.run([&]() -> task<void> {
        event ended;
        auto quick = [&]() -> task<void> {
            co_await noop();
            ended.set();
        };
        auto waits = [&]() -> task<void> { (void)co_await poll(pipes[0], POLLIN); };
        auto alarm = [&]() -> task<void> { (void)co_await sleep_for(much_too_long); };
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(alarm());
            // Completes at once, is set aside when the next submission is refused, and then
            // nothing else comes.
            inside.spawn(quick());
            on.loop.own_ring().submit();
            inside.spawn(waits());
            calls.refusals = 1;
            on.loop.own_ring().submit();
            CHECK(calls.refusals == 0);
            CHECK(co_await ended.wait());
            inside.cancel();
        });
    });
    CHECK(on.loop.now() - start < much_too_long);
    ::close(pipes[0]);
    ::close(pipes[1]);
}

TEST_CASE("loop: several on one thread are independent, also one inside the other's run") {
    test_loop outer, inner;
    outer.run([&]() -> task<void> {
        co_await noop();
        CHECK(inner.loop.run(five()) == 5);
        CHECK(co_await noop());
        CHECK(inner.loop.run(five()) == 5);
    });
}

TEST_CASE("loop: a task that never waits for long does not keep others from their turn") {
    test_loop on;
    bool ended = false;
    on.run([&]() -> task<void> {
        on.loop.spawn([](bool& done) -> task<void> {
            for (bool goes_on = true; goes_on;) {
                const auto done_nothing = co_await noop();
                goes_on = done_nothing.has_value();
            }
            done = true;
        }(ended));
        CHECK(co_await sleep_for(5ms));
        CHECK_FALSE(ended);
    });
    CHECK(ended);
}

TEST_CASE("loop: an idle one makes no system calls") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto before = on.loop.statistics().enters;
        CHECK(co_await sleep_for(50ms));
        CHECK(on.loop.statistics().enters - before <= 3);
    });
}

namespace {

/// An environment variable that has its value again at the end of the block.
class kept_variable {
public:
    explicit kept_variable(const char* of) : name_(of) {
        if (const char* found = std::getenv(of)) before_ = found;
    }
    kept_variable(const kept_variable&) = delete;
    kept_variable& operator=(const kept_variable&) = delete;
    ~kept_variable() {
        if (before_)
            ::setenv(name_, before_->c_str(), 1);
        else
            ::unsetenv(name_);
    }

private:
    const char* name_;
    std::optional<std::string> before_;
};

} // namespace

TEST_CASE("loop: RINGDOWN_FIN decides how FIN is sent, and a wrong value is named") {
    const kept_variable before("RINGDOWN_FIN");
    const leak_guard unchanged;
    ::setenv("RINGDOWN_FIN", "operation", 1);
    CHECK(loop().fin() == fin_method::operation);
    ::setenv("RINGDOWN_FIN", "system_call", 1);
    CHECK(loop(loop_options{.fin = fin_method::operation}).fin() == fin_method::system_call);
    ::setenv("RINGDOWN_FIN", "probe", 1);
    CHECK(loop().fin() != fin_method::probe);
    ::setenv("RINGDOWN_FIN", "carrier pigeon", 1);
    try {
        const loop refused;
        FAIL("accepted");
    } catch (const std::invalid_argument& refused) {
        const std::string text = refused.what();
        CHECK(text.find("RINGDOWN_FIN") != std::string::npos);
        CHECK(text.find("carrier pigeon") != std::string::npos);
        CHECK(text.find("system_call") != std::string::npos);
    }
    ::unsetenv("RINGDOWN_FIN");
    CHECK(loop().fin() == fin_method::system_call);
}
