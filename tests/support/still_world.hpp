#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/ringdown.hpp>

#include "sim_kernel.hpp"

namespace ringdown::testing {

/// A loop on a simulated kernel that nothing disturbs, for times that are exact: the clock moves by
/// a microsecond with each turn of the loop, by the latency of 20 us with each packet, and
/// otherwise only to the next event. No machine is too slow for it.
class still_world {
    static loop_options on_kernel(system_calls& calls) {
        loop_options made;
        made.calls = &calls;
        return made;
    }

public:
    still_world() : kernel({.disturbed = false, .calls_take_time = false}), on(on_kernel(kernel)) {
        ledger(on).on_report([this](const teardown_report& made) { reports.push_back(made); });
    }
    ~still_world() {
        CHECK(kernel.violations().empty());
        CHECK(on.operations_in_flight() == 0);
    }

    stream connect(const peer_script& script) {
        auto made = adopt(on, kernel.adopt_peer(script));
        REQUIRE(made.has_value());
        return std::move(*made);
    }

    /// Runs the coroutine that `body` makes. `body` is kept, so it may capture.
    template <class Body>
    void run(Body body) {
        on.run(body());
    }

    sim_kernel kernel;
    loop on;
    std::vector<teardown_report> reports;
};

/// What a few turns and packets take. Nobody tells a loop what was acknowledged, it looks from time
/// to time: what depends on that needs more.
inline constexpr std::chrono::microseconds a_few_turns{150};

/// Checks that something took its time and no more than a few turns beyond it.
inline void check_exact(std::chrono::nanoseconds is, std::chrono::nanoseconds expected,
                        std::chrono::nanoseconds slack = a_few_turns) {
    CAPTURE(is.count());
    CAPTURE(expected.count());
    CHECK(is >= expected);
    CHECK(is <= expected + slack);
}

} // namespace ringdown::testing
