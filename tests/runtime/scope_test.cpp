#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "support/fixture.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

/// Waits for what never happens, and notes how that ended.
task<void> wait_for_ever(event& never, std::vector<std::error_code>& ends) {
    const auto ended = co_await never.wait();
    ends.push_back(ended ? std::error_code() : ended.error());
}

task<void> fail(const char* why) {
    throw std::runtime_error(why);
    co_return;
}

} // namespace

TEST_CASE("scope: with_scope ends when the last task in it has, and answers the body's value") {
    test_loop on;
    int ended = 0;
    const int answer = on.run([&]() -> task<int> {
        const int value = co_await with_scope([&](scope& inside) -> task<int> {
            for (int waits = 1; waits <= 50; ++waits)
                inside.spawn([](int n, int& count) -> task<void> {
                    co_await turns(n);
                    ++count;
                }(waits, ended));
            CHECK(inside.children() == 50);
            co_return 42;
        });
        CHECK(ended == 50);
        co_return value;
    });
    CHECK(answer == 42);
}

TEST_CASE("scope: an empty one ends at once") {
    test_loop on;
    on.run([&]() -> task<void> { co_await with_scope([](scope&) -> task<void> { co_return; }); });
}

TEST_CASE("scope: a spawned task runs up to its first wait before spawn returns") {
    test_loop on;
    on.run([&]() -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            int step = 0;
            auto body = [&]() -> task<void> {
                step = 1;
                co_await noop();
                step = 2;
            };
            inside.spawn(body());
            CHECK(step == 1);
            while (inside.children() > 0)
                co_await noop();
            CHECK(step == 2);
        });
    });
}

TEST_CASE("scope: what a spawned task answers is dropped, destroyed with it, an error as well") {
    test_loop on;
    auto kept = std::make_shared<int>(1);
    on.run([&]() -> task<void> {
        auto value = [&]() -> task<std::shared_ptr<int>> {
            co_await noop();
            co_return kept;
        };
        auto refused = []() -> task<result<int>> {
            co_return std::unexpected(std::make_error_code(std::errc::io_error));
        };
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(value());
            inside.spawn(refused());
            on.loop.spawn(value());
            CHECK(inside.children() == 1);
            co_return;
        });
    });
    CHECK(kept.use_count() == 1);
}

TEST_CASE("scope: cancelling reaches every wait in it, and nothing outside") {
    test_loop on;
    std::vector<std::error_code> ends, others;
    event never;
    on.run([&]() -> task<void> {
        co_await with_scope([&](scope& outside) -> task<void> {
            outside.spawn(wait_for_ever(never, others));
            co_await with_scope([&](scope& inside) -> task<void> {
                for (int i = 0; i < 100; ++i)
                    inside.spawn(wait_for_ever(never, ends));
                inside.cancel();
                co_return;
            });
            CHECK(ends.size() == 100);
            for (const auto& end : ends)
                CHECK(end == std::errc::operation_canceled);
            co_await turns(3);
            CHECK(others.empty());
            outside.cancel();
        });
    });
}

TEST_CASE("scope: cancelling an outer scope reaches the nested ones, and those made later") {
    test_loop on;
    std::vector<std::error_code> ends;
    event never;
    on.run([&]() -> task<void> {
        auto nested = [&]() -> task<void> {
            co_await with_scope([&](scope& middle) -> task<void> {
                middle.spawn(wait_for_ever(never, ends));
                co_await with_scope([&](scope& inner) -> task<void> {
                    inner.spawn(wait_for_ever(never, ends));
                    co_await wait_for_ever(never, ends);
                });
                middle.spawn(wait_for_ever(never, ends));
                co_await with_scope([&](scope& late) -> task<void> {
                    CHECK(late.governing().requested());
                    late.spawn(wait_for_ever(never, ends));
                    co_return;
                });
            });
        };
        co_await with_scope([&](scope& outer) -> task<void> {
            outer.spawn(nested());
            co_await noop();
            CHECK(ends.empty());
            outer.cancel();
        });
    });
    CHECK(ends.size() == 5);
    for (const auto& end : ends)
        CHECK(end == std::errc::operation_canceled);
}

TEST_CASE("scope: a task spawned in a cancelled scope runs, and every wait of it ends at once") {
    test_loop on;
    on.run([&]() -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.cancel();
            inside.cancel();
            bool ended = false;
            auto body = [&]() -> task<void> {
                event never;
                CHECK(!co_await never.wait());
                CHECK(!co_await noop());
                CHECK(!co_await sleep_for(1h));
                CHECK(!co_await sleep_for(-1h));
                ended = true;
            };
            inside.spawn(body());
            CHECK(ended);
            co_return;
        });
    });
    CHECK(on.loop.statistics().submitted <= 3); // the loop's own
}

TEST_CASE("scope: the first exception of a child cancels the others, and is thrown by the join") {
    test_loop on;
    std::vector<std::error_code> ends;
    event never;
    std::string caught;
    on.run([&]() -> task<void> {
        auto body = [&]() -> task<void> {
            co_await noop();
            co_await fail("first");
        };
        auto later = [&]() -> task<void> {
            (void)co_await never.wait();
            co_await fail("second");
        };
        try {
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(wait_for_ever(never, ends));
                inside.spawn(body());
                inside.spawn(later());
                co_await wait_for_ever(never, ends);
            });
        } catch (const std::runtime_error& error) {
            caught = error.what();
        }
    });
    CHECK(caught == "first");
    CHECK(ends.size() == 2);
}

TEST_CASE("scope: when the body throws, what it spawned is cancelled and joined first") {
    test_loop on;
    std::vector<std::error_code> ends;
    event never;
    for (const bool at_once : {false, true}) {
        ends.clear();
        CHECK_THROWS_WITH_AS(on.run([&]() -> task<void> {
            co_await with_scope([&](scope& inside) -> task<int> {
                inside.spawn(wait_for_ever(never, ends));
                if (!at_once) co_await noop();
                co_await fail("body");
                co_return 1;
            });
        }),
                             "body", std::runtime_error);
        CHECK(ends.size() == 1);
    }
}

TEST_CASE("scope: a child may spawn others in its scope while the body has ended") {
    test_loop on;
    int ended = 0;
    on.run([&]() -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            struct chain {
                static task<void> link(loop& turning, scope& in, int left, int& count) {
                    co_await noop();
                    if (left > 0) in.spawn(link(turning, in, left - 1, count));
                    ++count;
                }
            };
            inside.spawn(chain::link(on.loop, inside, 99, ended));
            co_return;
        });
        CHECK(ended == 100);
    });
}

TEST_CASE("scope: one that waits for its children is cancelled through them") {
    test_loop on;
    std::vector<std::error_code> ends;
    event never;
    on.run([&]() -> task<void> {
        auto waits = [&]() -> task<void> {
            co_await with_scope([&](scope& inner) -> task<void> {
                inner.spawn(wait_for_ever(never, ends));
                co_return;
            });
        };
        co_await with_scope([&](scope& outer) -> task<void> {
            outer.spawn(waits());
            outer.cancel();
            co_return;
        });
    });
    CHECK(ends.size() == 1);
}

TEST_CASE("scope: what was achieved before the cancellation is answered in spite of it") {
    test_loop on;
    bool awaited = false;
    on.run([&]() -> task<void> {
        event happened;
        co_await with_scope([&](scope& inside) -> task<void> {
            auto body = [](event& wanted, bool& answer) -> task<void> {
                answer = (co_await wanted.wait()).has_value();
            };
            inside.spawn(body(happened, awaited));
            happened.set();
            inside.cancel();
            co_return;
        });
    });
    CHECK(awaited);
}

TEST_CASE("event: wakes every waiting task once, lets later ones pass, and can be reset") {
    test_loop on;
    on.run([&]() -> task<void> {
        event happening;
        int woken = 0;
        auto body = [&]() -> task<void> {
            CHECK(co_await happening.wait());
            ++woken;
        };
        co_await with_scope([&](scope& inside) -> task<void> {
            for (int i = 0; i < 10; ++i)
                inside.spawn(body());
            happening.set();
            happening.set();
            CHECK(woken == 0); // resumed by the loop, not from inside set
            co_await noop();
            CHECK(woken == 10);
            inside.spawn(body());
            CHECK(woken == 11);
            happening.reset();
            CHECK_FALSE(happening.happened());
            inside.spawn(body());
            CHECK(woken == 11);
            happening.set();
        });
        CHECK(woken == 12);
    });
}

TEST_CASE("event: join waits in spite of a cancellation") {
    test_loop on;
    bool joined = false;
    on.run([&]() -> task<void> {
        event happening;
        auto body = [&]() -> task<void> {
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.cancel();
                joined = (co_await happening.join()).has_value();
            });
        };
        co_await with_scope([&](scope& outside) -> task<void> {
            outside.spawn(body());
            co_await turns(3);
            CHECK_FALSE(joined);
            happening.set();
        });
    });
    CHECK(joined);
}
