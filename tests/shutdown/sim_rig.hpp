#pragma once

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/ringdown.hpp>

#include "../support/sim_kernel.hpp"

namespace ringdown::testing {

using namespace std::chrono_literals;

/// A loop on a simulated kernel, with the reports of its connections.
class sim_rig {
public:
    explicit sim_rig(const sim_options& options = {.disturbed = false})
        : kernel(options), loop({.calls = &kernel}) {
        ledger(loop).on_report([this](const teardown_report& each) { reports.push_back(each); });
    }

    /// The library's end of a new connection.
    stream connect(const peer_script& peer) { return take_over(kernel.adopt_peer(peer)); }
    stream take_over(int fd) {
        auto taken = adopt(loop, fd);
        REQUIRE(taken.has_value());
        return std::move(*taken);
    }
    /// Runs the coroutine that `body` makes, which may capture; afterwards nothing may be wrong.
    template <class Body>
    void run(Body body) {
        loop.run(body());
        CHECK(loop.operations_in_flight() == 0);
        for (const std::string& each : kernel.violations())
            FAIL_CHECK(each);
    }

    sim_kernel kernel;
    ringdown::loop loop;
    std::vector<teardown_report> reports;
};

} // namespace ringdown::testing
