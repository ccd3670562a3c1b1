#include <algorithm>
#include <vector>

#include <doctest/doctest.h>
#include <liburing.h>
#include <unistd.h>

#include <ringdown/runtime/internal/ring_setup.hpp>
#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "support/child.hpp"
#include "support/fixture.hpp"
#include "support/fixture_system.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

// Rings count against the user's limit on locked memory, and closed ones for some time more.

namespace {

/// Has memory for rings of so many completions, from that pause on.
class short_of_memory final : public forwarding_system {
public:
    int ring_setup(unsigned entries, io_uring_params& params) noexcept override {
        ++asked;
        const bool fits = params.cq_entries <= fitting && pauses.size() >= returns_after;
        return fits ? forwarding_system::ring_setup(entries, params) : -ENOMEM;
    }
    void pause(std::chrono::nanoseconds time) noexcept override { pauses.push_back(time); }
    std::uint64_t locked_memory_max() noexcept override { return limit; }

    unsigned fitting = 32'768;
    std::size_t returns_after = 0;
    std::uint64_t limit = ~std::uint64_t{};
    int asked = 0;
    std::vector<std::chrono::nanoseconds> pauses;

    [[nodiscard]] std::chrono::nanoseconds paused() const {
        std::chrono::nanoseconds sum{};
        for (const auto each : pauses)
            sum += each;
        return sum;
    }
};

// Whether the limit, which is lower, keeps this process from a ring of so many completions: not
// every kernel counts rings.
bool kernel_counts_ring_of(unsigned completions) {
    io_uring_params params{};
    params.flags = IORING_SETUP_CQSIZE;
    params.cq_entries = completions;
    const int made = ringdown::kernel().ring_setup(8, params);
    if (made >= 0) ::close(made);
    return made == -ENOMEM;
}

bool works(loop& on) {
    auto main = []() -> task<bool> {
        co_await turns(20);
        co_return true;
    };
    return on.run(main());
}

} // namespace

TEST_CASE("ring: waits for the memory of closed rings, and then is as large as asked for") {
    const leak_guard unchanged;
    short_of_memory calls;
    calls.returns_after = 3;
    const ring made(calls, {}, ring_options{});
    CHECK(calls.pauses == std::vector<std::chrono::nanoseconds>{1ms, 2ms, 4ms});
    CHECK(made.statistics().memory_waits == 3);
    CHECK(made.entries() == 256);
    CHECK(made.completion_entries() == 8192);
}

TEST_CASE("ring: when memory does not come back it is smaller, and tells") {
    const leak_guard unchanged;
    short_of_memory calls;
    loop on({.calls = &calls});
    CHECK(on.options().ring.completion_entries == 8192);
    CHECK(on.statistics().memory_waits == 0);
    calls.fitting = 100;
    loop small({.calls = &calls});
    CHECK(small.options().ring.completion_entries == 64);
    CHECK(small.options().ring.entries == 64);
    CHECK(small.statistics().memory_waits == calls.pauses.size());
    CHECK(calls.paused() >= 250ms);
    CHECK(calls.paused() < 300ms);
    CHECK(works(small));
}

TEST_CASE("ring: does not wait where it is larger than the limit by itself") {
    const leak_guard unchanged;
    short_of_memory calls;
    calls.limit = 32'768;
    calls.fitting = 1024;
    const ring made(calls, {}, ring_options{});
    CHECK(calls.pauses.empty());
    CHECK(made.completion_entries() == 1024);
    CHECK(made.entries() == 256);
}

TEST_CASE("ring: a limit that is too small for the smallest one is named") {
    const leak_guard unchanged;
    short_of_memory calls;
    calls.fitting = 0;
    CHECK_THROWS_WITH_AS(ring(calls, {}, ring_options{}), doctest::Contains("ulimit -l"),
                         std::system_error);
    CHECK(calls.asked < 40);
}

TEST_CASE("capabilities: what the kernel offers is not judged by a shortage of memory") {
    const leak_guard unchanged;
    short_of_memory calls;
    const capability_set offered = probe_capabilities(calls);
    calls.returns_after = 2;
    CHECK(probe_capabilities(calls) == offered);
}

TEST_CASE("loop: an ordinary user may make a hundred and fifty, one after the other") {
    const int status = as_ordinary_user(8 << 20, [] {
        for (int i = 0; i < 150; ++i) {
            loop on;
            if (!works(on)) return 1;
        }
        return 0;
    });
    CHECK(status == 0);
}

TEST_CASE("loop: an ordinary user with a limit of 64 KiB gets a smaller ring at once") {
    constexpr int not_counted = 3;
    const int status = as_ordinary_user(64 << 10, [] {
        const bool counted = kernel_counts_ring_of(8192);
        loop on;
        if (!works(on)) return 1;
        if (!counted) return on.options().ring.completion_entries == 8192 ? not_counted : 4;
        return on.options().ring.completion_entries < 8192 ? 0 : 2;
    });
    if (status == not_counted) {
        MESSAGE("skip: this kernel does not count rings against the limit on locked memory");
        return;
    }
    CHECK(status == 0);
}
