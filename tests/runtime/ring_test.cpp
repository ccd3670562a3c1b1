#include <cerrno>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/ring.hpp>

#include "support/fixture.hpp"
#include "support/fixture_system.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

void add_noop(ring& queue, std::uint64_t name) {
    io_uring_sqe& sqe = queue.entry();
    io_uring_prep_nop(&sqe);
    sqe.user_data = name;
}

std::vector<std::uint64_t> numbers(std::size_t count) {
    std::vector<std::uint64_t> all(count);
    std::iota(all.begin(), all.end(), 1);
    return all;
}

void reap_into(ring& queue, std::vector<std::uint64_t>& names) {
    queue.reap([&](std::uint64_t name, completion what) {
        CHECK(what.result == 0);
        names.push_back(name);
    });
}

} // namespace

TEST_CASE("ring: a full submission queue submits and goes on, and loses nothing") {
    const leak_guard unchanged;
    ring queue(kernel(), {.entries = 4, .completion_entries = 1024, .disabled = {}});
    queue.enable();
    for (const auto name : numbers(300))
        add_noop(queue, name);
    std::vector<std::uint64_t> seen;
    while (seen.size() < 300) {
        queue.enter(false);
        reap_into(queue, seen);
    }
    CHECK(seen == numbers(300));
    CHECK(queue.statistics().submitted == 300);
    CHECK(queue.statistics().completions == 300);
    CHECK(queue.statistics().queue_full >= 300 / 4 - 1);
    CHECK(queue.statistics().overflows == 0);
}

TEST_CASE("ring: completions that overflow their queue are all reaped, and the overflow counted") {
    const leak_guard unchanged;
    ring queue(kernel(), {.entries = 4, .completion_entries = 4, .disabled = {}});
    queue.enable();
    for (const auto name : numbers(200))
        add_noop(queue, name);
    std::vector<std::uint64_t> seen;
    while (seen.size() < 200) {
        queue.enter(true);
        reap_into(queue, seen);
    }
    CHECK(seen == numbers(200));
    CHECK(queue.statistics().overflows > 0);
}

TEST_CASE("ring: a chain is submitted whole although the queue was nearly full") {
    const leak_guard unchanged;
    ring queue(kernel(), {.entries = 4, .completion_entries = 64, .disabled = {}});
    queue.enable();
    add_noop(queue, 1);
    add_noop(queue, 2);
    queue.reserve(3);
    for (std::uint64_t name = 10; name < 13; ++name) {
        io_uring_sqe& sqe = queue.entry();
        io_uring_prep_nop(&sqe);
        if (name == 10) io_uring_prep_close(&sqe, -1); // fails, and severs the chain
        sqe.user_data = name;
        if (name < 12) sqe.flags |= IOSQE_IO_LINK;
    }
    std::vector<std::pair<std::uint64_t, int>> seen;
    while (seen.size() < 5) {
        queue.enter(true);
        queue.reap(
            [&](std::uint64_t name, completion what) { seen.emplace_back(name, what.result); });
    }
    CHECK(seen[2] == std::pair<std::uint64_t, int>(10, -EBADF));
    CHECK(seen[3] == std::pair<std::uint64_t, int>(11, -ECANCELED));
    CHECK(seen[4] == std::pair<std::uint64_t, int>(12, -ECANCELED));
}

TEST_CASE("ring: enter waits until its time, and not longer for a time that is past") {
    const leak_guard unchanged;
    ring queue(kernel());
    queue.enable();
    const auto start = kernel().now();
    queue.enter(true, start + 20ms);
    const auto after = kernel().now();
    CHECK(after - start >= 20ms);
    queue.enter(true, start - 1h);
    CHECK(kernel().now() - after < 30s);
    std::vector<std::uint64_t> seen;
    reap_into(queue, seen);
    CHECK(seen.empty());
}

TEST_CASE("ring: the beginning of time is past, and its end is not") {
    const leak_guard unchanged;
    ring queue(kernel());
    queue.enable();
    // Ends a wait that would be too long, and is ended by the ring's end otherwise.
    const auto add_alarm = [&](__kernel_timespec& after) {
        io_uring_sqe& sqe = queue.entry();
        io_uring_prep_timeout(&sqe, &after, 0, 0);
    };
    __kernel_timespec long_after{.tv_sec = 60, .tv_nsec = 0};
    add_alarm(long_after);
    auto start = kernel().now();
    queue.enter(true, ring::time_point::min());
    CHECK(kernel().now() - start < 30s);
    queue.reap([](std::uint64_t, completion) {});

    __kernel_timespec soon_after{.tv_sec = 0, .tv_nsec = 20'000'000};
    add_alarm(soon_after);
    start = kernel().now();
    queue.enter(true, ring::time_point::max());
    CHECK(kernel().now() - start >= 20ms);
}

TEST_CASE("ring: enter does not wait past what has completed already") {
    const leak_guard unchanged;
    ring queue(kernel());
    queue.enable();
    add_noop(queue, 7);
    queue.enter(true);
    std::vector<std::uint64_t> seen;
    reap_into(queue, seen);
    CHECK(seen == std::vector<std::uint64_t>{7});
    reap_into(queue, seen);
    CHECK(seen.size() == 1);
}

TEST_CASE("ring: a handler may submit while completions are reaped") {
    const leak_guard unchanged;
    ring queue(kernel(), {.entries = 4, .completion_entries = 4, .disabled = {}});
    queue.enable();
    unsigned started = 16;
    unsigned ended = 0;
    for (unsigned i = 0; i < started; ++i)
        add_noop(queue, 1);
    while (ended < started) {
        queue.enter(true);
        queue.reap([&](std::uint64_t, completion) {
            ++ended;
            for (int i = 0; i < 2 && started < 500; ++i) {
                add_noop(queue, 1);
                ++started;
            }
        });
    }
    CHECK(ended == 500);
    CHECK(queue.statistics().submitted == 500);
}

TEST_CASE("ring: a submission that the kernel refuses for lack of room is repeated") {
    const leak_guard unchanged;
    for (const int refusal : {-EBUSY, -EAGAIN, -EINTR}) {
        CAPTURE(refusal);
        refusing_system calls;
        calls.with = refusal;
        ring queue(calls, {.entries = 4, .completion_entries = 8, .disabled = {}});
        queue.enable();
        std::vector<std::uint64_t> seen;
        calls.refusals = 3;
        for (const auto name : numbers(40))
            add_noop(queue, name);
        while (seen.size() < 40) {
            queue.enter(true, kernel().now() + 100ms);
            reap_into(queue, seen);
        }
        CHECK(seen == numbers(40));
        CHECK(calls.refusals == 0);
    }
}

TEST_CASE("ring: without a descriptor left it says what to check, and leaks none") {
    const leak_guard unchanged;
    if (sanitized) {
        MESSAGE("skip: sanitizers want descriptors of their own");
        return;
    }
    probe_capabilities(kernel());
    CHECK(refusal_without_descriptors(0, [] { const ring refused(kernel()); }).find("ulimit -n") !=
          std::string::npos);
}
