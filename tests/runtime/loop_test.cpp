#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
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

task<int> five(loop& on) {
    co_await noop(on);
    co_return 5;
}

/// Counts how often it was moved away alive, or destroyed without having been called.
struct call {
    explicit call(std::atomic<int>& ran, std::atomic<int>& dropped)
        : ran_(&ran), dropped_(&dropped) {}
    call(call&& other) noexcept : ran_(std::exchange(other.ran_, nullptr)), dropped_(other.dropped_) {}
    ~call() {
        if (ran_) ++*dropped_;
    }
    void operator()() { ++*std::exchange(ran_, nullptr); }
    std::atomic<int>* ran_;
    std::atomic<int>* dropped_;
};

}  // namespace

TEST_CASE("loop: run answers what main answers, any number of times") {
    test_loop on;
    for (int i = 0; i < 100; ++i) CHECK(on.loop.run(five(on.loop)) == 5);
    CHECK(*on.run([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(1); }) == 1);
    on.run([]() -> task<void> { co_return; });
}

TEST_CASE("loop: a hundred of them, made and dropped, run or not, leave nothing behind") {
    const leak_guard unchanged;
    for (int i = 0; i < 100; ++i) {
        loop on;
        if (i % 2) CHECK(on.run(five(on)) == 5);
    }
}

TEST_CASE("loop: made where no descriptor is left it throws, and leaks none") {
    const leak_guard unchanged;
    if (sanitized) {
        MESSAGE("skip: sanitizers want descriptors of their own");
        return;
    }
    { const loop once; }
    CHECK_FALSE(refusal_without_descriptors(0, [] { const loop refused; }).empty());
    CHECK_FALSE(refusal_without_descriptors(1, [] { const loop refused; }).empty());
}

TEST_CASE("loop: when main ends, what was spawned is cancelled and joined") {
    test_loop on;
    int joined = 0;
    on.run([&]() -> task<void> {
        for (int i = 0; i < 10; ++i)
            on.loop.spawn([](loop& turning, int& count) -> task<void> {
                CHECK(!co_await sleep_for(turning, 1h));
                ++count;
            }(on.loop, joined));
        co_return;
    });
    CHECK(joined == 10);
}

TEST_CASE("loop: a spawned task that throws ends the run, and main is cancelled and joined") {
    test_loop on;
    bool joined = false;
    CHECK_THROWS_WITH_AS(on.run([&]() -> task<int> {
        on.loop.spawn([](loop& turning) -> task<void> {
            co_await noop(turning);
            throw std::runtime_error("spawned");
        }(on.loop));
        CHECK(!co_await sleep_for(on.loop, 1h));
        joined = true;
        co_return 1;
    }),
                         "spawned", std::runtime_error);
    CHECK(joined);
    CHECK(on.loop.run(five(on.loop)) == 5);
}

TEST_CASE("loop: a submission queue of four takes a thousand operations at once") {
    test_loop on({.ring = {.entries = 4, .completion_entries = 16, .disabled = {}}});
    int ended = 0;
    on.run([&]() -> task<void> {
        auto body = [&]() -> task<void> {
            for (int i = 0; i < 3; ++i) CHECK(co_await noop(on.loop));
            ++ended;
        };
        co_await with_scope(on.loop, [&](scope& inside) -> task<void> {
            for (int i = 0; i < 1000; ++i) inside.spawn(body());
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
        co_await with_scope(on.loop, [&](scope& inside) -> task<void> {
            auto body = [](loop& turning, int fd, int& count) -> task<void> {
                const auto ended = co_await poll(turning, fd, POLLIN);
                REQUIRE(!ended);
                CHECK(ended.error() == std::errc::operation_canceled);
                ++count;
            };
            for (int i = 0; i < 300; ++i) inside.spawn(body(on.loop, pipes[0], canceled));
            co_await turns(on.loop, 2);
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
    test_loop on({.ring = {.entries = 4, .completion_entries = 8, .disabled = {}}, .calls = &calls});
    int pipes[2];
    REQUIRE(::pipe(pipes) == 0);
    const auto start = on.loop.now();
    on.run([&]() -> task<void> {
        event ended;
        auto quick = [&]() -> task<void> {
            co_await noop(on.loop);
            ended.set();
        };
        auto waits = [&]() -> task<void> { (void)co_await poll(on.loop, pipes[0], POLLIN); };
        auto alarm = [&]() -> task<void> { (void)co_await sleep_for(on.loop, much_too_long); };
        co_await with_scope(on.loop, [&](scope& inside) -> task<void> {
            inside.spawn(alarm());
            // Completes at once, is set aside when the next submission is refused, and then
            // nothing else comes.
            inside.spawn(quick());
            on.loop.own_ring().submit();
            inside.spawn(waits());
            calls.refusals = 1;
            on.loop.own_ring().submit();
            CHECK(calls.refusals == 0);
            CHECK(co_await ended.wait(on.loop));
            inside.cancel();
        });
    });
    CHECK(on.loop.now() - start < much_too_long);
    ::close(pipes[0]);
    ::close(pipes[1]);
}

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
        CHECK(co_await all.wait(on.loop));
        for (auto& other : others) other.join();
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
        CHECK(co_await all.wait(on.loop));
        other.join();
        CHECK(std::ranges::is_sorted(order));
        CHECK(order.size() == 3000);
    });
}

TEST_CASE("loop: a call posted before run, or by another call, runs") {
    test_loop on;
    event second;
    on.loop.post([&] { on.loop.post([&] { second.set(); }); });
    on.run([&]() -> task<void> { CHECK(co_await second.wait(on.loop)); });
}

TEST_CASE("loop: a posted call may spawn") {
    test_loop on;
    on.run([&]() -> task<void> {
        event ended;
        auto body = [&]() -> task<void> {
            CHECK(co_await noop(on.loop));
            ended.set();
        };
        on.loop.post([&] { on.loop.spawn(body()); });
        CHECK(co_await ended.wait(on.loop));
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
            on.run([&]() -> task<void> { co_await noop(on.loop); });
            CHECK(on.loop.operations_in_flight() == 0);
        }
        enough = true;
        other.join();
        event last;
        on.loop.post([&] { last.set(); });
        on.run([&]() -> task<void> { CHECK(co_await last.wait(on.loop)); });
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
            auto body = [](loop& turning, int& begun, int& done) -> task<void> {
                ++begun;
                (void)co_await noop(turning);
                ++done;
            };
            for (int n = 0; n <= i % 3; ++n)
                on.loop.post([&on, &started, &ended, body] {
                    on.loop.spawn(body(on.loop, started, ended));
                });
            if (i % 2) co_await noop(on.loop);
        });
        CHECK(started == ended);
        // Those that this run did not come to are run here, while what they name is alive.
        event last;
        on.loop.post([&] { last.set(); });
        on.run([&]() -> task<void> { CHECK(co_await last.wait(on.loop)); });
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
            CHECK(!co_await sleep_for(on.loop, 1h));
            ++joined;
        };
        const int answer = on.run([&]() -> task<int> {
            on.loop.spawn(body());
            other = std::thread([&] { on.loop.stop(); });
            const auto slept = co_await sleep_for(on.loop, 1h);
            CHECK(slept.error() == std::errc::operation_canceled);
            CHECK(!co_await noop(on.loop));
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
        CHECK(!co_await sleep_for(on.loop, 1h));
    });
    CHECK(on.run([&]() -> task<bool> { co_return (co_await noop(on.loop)).has_value(); }));
}

TEST_CASE("loop: made by one thread it runs on another, and is destroyed by the first") {
    const leak_guard unchanged;
    for (int i = 0; i < 20; ++i) {
        loop on;
        std::thread([&] { CHECK(on.run(five(on)) == 5); }).join();
    }
}

TEST_CASE("loop: destroying one that ran on another thread leaves this thread's loop alone") {
    test_loop on;
    on.run([&]() -> task<void> {
        {
            loop elsewhere;
            std::thread([&] { CHECK(elsewhere.run(five(elsewhere)) == 5); }).join();
        }
        CHECK(co_await noop(on.loop));
        const auto before = on.loop.statistics().enters;
        CHECK(co_await sleep_for(on.loop, 5ms));
        CHECK(on.loop.statistics().enters - before < 10);
    });
}

TEST_CASE("loop: several on one thread are independent, also one inside the other's run") {
    test_loop outer, inner;
    outer.run([&]() -> task<void> {
        co_await noop(outer.loop);
        CHECK(inner.loop.run(five(inner.loop)) == 5);
        CHECK(co_await noop(outer.loop));
        CHECK(inner.loop.run(five(inner.loop)) == 5);
    });
}

TEST_CASE("loop: a task that never waits for long does not keep others from their turn") {
    test_loop on;
    on.run([&]() -> task<void> {
        bool ended = false;
        on.loop.spawn([](loop& turning, bool& done) -> task<void> {
            while (co_await noop(turning)) {
            }
            done = true;
        }(on.loop, ended));
        CHECK(co_await sleep_for(on.loop, 5ms));
        CHECK_FALSE(ended);
    });
}

TEST_CASE("loop: an idle one makes no system calls") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto before = on.loop.statistics().enters;
        CHECK(co_await sleep_for(on.loop, 50ms));
        CHECK(on.loop.statistics().enters - before <= 3);
    });
}

TEST_CASE("loop: RINGDOWN_FIN decides how FIN is sent, and a wrong value is named") {
    const char* found = std::getenv("RINGDOWN_FIN");
    const std::string before = found ? found : "";
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
    if (found) ::setenv("RINGDOWN_FIN", before.c_str(), 1);
}
