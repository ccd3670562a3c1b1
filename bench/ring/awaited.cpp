#include <chrono>
#include <cstdint>
#include <vector>

#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "cases.hpp"

namespace bench {
namespace {

using namespace ringdown;
using namespace std::chrono_literals;

// `depth` tasks beside each other, made by `make(times)`.
template <class Make>
task<void> side_by_side(section& counts, std::size_t depth, std::size_t count, Make make) {
    counts.begin();
    co_await with_scope([&](scope& inside) -> task<void> {
        for (std::size_t i = 0; i < depth; ++i)
            inside.spawn(make(count / depth));
        co_return;
    });
    counts.end();
}

task<void> await_noops(std::size_t times) {
    for (std::size_t i = 0; i < times; ++i)
        co_await noop();
}

task<void> await_timers(std::size_t times) {
    for (std::size_t i = 0; i < times; ++i)
        (void)co_await sleep_for(0ns);
}

task<void> await_within_deadlines(std::size_t times) {
    const loop& loop = co_await current_loop{};
    for (std::size_t i = 0; i < times; ++i) {
        const auto done = co_await with_deadline(loop.now() + 10s, noop());
        must(done.has_value(), "a deadline was not reached, and cancelled all the same");
    }
}

struct slot {
    event filled;
    std::uint64_t value = 0;
};

task<void> hand_on(slot& source, slot& target, std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) {
        (void)co_await source.filled.wait();
        source.filled.reset();
        target.value = source.value + 1;
        target.filled.set();
    }
}

task<void> go_round(section& counts, std::vector<slot>& slots, std::size_t times) {
    co_await with_scope([&](scope& inside) -> task<void> {
        for (std::size_t i = 0; i < slots.size(); ++i) {
            const bool last = (i + 1) % channel_stages == 0;
            slot& next = slots[last ? i + 1 - channel_stages : i + 1];
            inside.spawn(hand_on(slots[i], next, times));
        }
        counts.begin();
        for (std::size_t i = 0; i < slots.size(); i += channel_stages)
            slots[i].filled.set();
        co_return;
    });
    counts.end();
}

task<void> add_one(std::uint64_t& sum) {
    ++sum;
    co_return;
}

task<void> spawn_all(section& counts, std::size_t count) {
    std::uint64_t sum = 0;
    co_await with_scope([&](scope& inside) -> task<void> {
        counts.begin();
        for (std::size_t i = 0; i < count; ++i)
            inside.spawn(add_one(sum));
        counts.end();
        co_return;
    });
    must(sum == count, "not everything that was spawned ran");
}

} // namespace

void noop_awaited(section& counts, std::size_t depth, std::size_t count) {
    loop loop;
    loop.run(side_by_side(counts, depth, count, await_noops));
}

void timer_awaited(section& counts, std::size_t depth, std::size_t count) {
    loop loop;
    loop.run(side_by_side(counts, depth, count, await_timers));
}

void deadline_awaited(section& counts, std::size_t depth, std::size_t count) {
    loop loop;
    loop.run(side_by_side(counts, depth, count, await_within_deadlines));
}

void channel_awaited(section& counts, std::size_t depth, std::size_t count) {
    std::vector<slot> slots(depth * channel_stages);
    const std::size_t times = count / (depth * channel_stages);
    loop loop;
    loop.run(go_round(counts, slots, times));
    for (std::size_t i = 0; i < slots.size(); i += channel_stages)
        must(slots[i].value == times * channel_stages, "a value was lost on its way");
}

void spawn_awaited(section& counts, std::size_t, std::size_t count) {
    loop loop;
    loop.run(spawn_all(counts, count));
}

} // namespace bench
