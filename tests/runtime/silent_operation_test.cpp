#include <cerrno>
#include <deque>

#include <doctest/doctest.h>

#include <ringdown/runtime/internal/ring_operation.hpp>

#include "support/fixture.hpp"

using namespace ringdown;

// Operations that tell nothing when they succeed: each completes once, whichever way it goes.

namespace {

class silent_operation final : public ring_operation {
public:
    silent_operation() noexcept : ring_operation("silent") {}

    void succeed(loop& on) {
        submit_silently(on, [](io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); });
    }
    void fail(loop& on) {
        submit_silently(on, [](io_uring_sqe& sqe) { io_uring_prep_close(&sqe, -1); });
    }

    int times = 0;
    int result = 1;

private:
    void completed(completion what) noexcept override {
        CHECK_FALSE(in_flight());
        ++times;
        result = what.result;
    }
};

} // namespace

TEST_CASE("silent operation: success completes it once, with 0") {
    test_loop on;
    on.run([&]() -> task<void> {
        silent_operation closing;
        closing.succeed(on.loop);
        CHECK(closing.in_flight());
        co_await turns(3);
        CHECK(closing.times == 1);
        CHECK(closing.result == 0);
        CHECK(on.loop.operations_in_flight() == 0);
    });
}

TEST_CASE("silent operation: a failure completes it once, with its error, and it can go again") {
    test_loop on;
    on.run([&]() -> task<void> {
        silent_operation closing;
        for (int time = 1; time <= 3; ++time) {
            closing.fail(on.loop);
            CHECK(closing.in_flight());
            co_await turns(3);
            CHECK(closing.times == time);
            CHECK(closing.result == -EBADF);
            CHECK(on.loop.operations_in_flight() == 0);
        }
        closing.succeed(on.loop);
        co_await turns(3);
        CHECK(closing.times == 4);
        CHECK(closing.result == 0);
    });
}

TEST_CASE(
    "silent operation: of many of both kinds, more than the queues hold, each completes once") {
    loop_options options;
    options.ring.entries = 4;
    options.ring.completion_entries = 4;
    test_loop on(options);
    on.run([&]() -> task<void> {
        std::deque<silent_operation> all(100);
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (i % 3 == 0)
                all[i].fail(on.loop);
            else
                all[i].succeed(on.loop);
        }
        co_await turns(3);
        for (std::size_t i = 0; i < all.size(); ++i) {
            CAPTURE(i);
            CHECK(all[i].times == 1);
            CHECK(all[i].result == (i % 3 == 0 ? -EBADF : 0));
        }
        CHECK(on.loop.operations_in_flight() == 0);
        CHECK(on.loop.statistics().queue_full > 0);
    });
    CHECK(on.loop.statistics().overflows > 0);
}
