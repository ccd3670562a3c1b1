#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include <ringdown/ringdown.hpp>

#include <ringdown/net/internal/connection.hpp>

#include "../../support/counting_system.hpp"
#include "../../support/sim_kernel.hpp"

namespace ringdown::testing {

using namespace std::chrono_literals;

/// A connection on a simulated kernel that nothing disturbs, and one part of an ending on it. The
/// test takes the ending's place: it calls the part, and is called at every change.
class part_rig {
public:
    static constexpr sim_options calm{.disturbed = false, .calls_take_time = false};

    explicit part_rig(const peer_script& peer = {}, transport_traits traits = transports::tcp,
                      const sim_options& options = calm)
        : kernel(options), calls(kernel), loop({.calls = &calls}),
          connection(ringdown::connection::adopt(loop, kernel.adopt_peer(peer),
                                                 {.traits = traits, .peer = {}})),
          ours(connection) {}

    /// Makes the part, which lives as long as the connection.
    template <class Part>
    Part& make() {
        auto made = std::make_shared<Part>(connection);
        driver_ = new driver;
        driver_->part = made;
        connection.set_ending(*driver_);
        return *made;
    }
    /// Calls `what` at every change from now on.
    void at_changes(std::function<void()> what) { driver_->when_changed = std::move(what); }

    /// Runs the coroutine that `body` makes, which may capture, and takes the connection down.
    template <class Body>
    void run(Body body) {
        const auto whole = [&]() -> task<void> {
            std::exception_ptr failure; // of a REQUIRE
            try {
                co_await body();
            } catch (...) {
                failure = std::current_exception();
            }
            co_await take_down();
            if (failure) std::rethrow_exception(failure);
        };
        loop.run(whole());
        CHECK(loop.operations_in_flight() == 0);
        for (const std::string& each : kernel.violations())
            FAIL_CHECK(each);
    }

    [[nodiscard]] std::uint64_t count(const std::string& call) const {
        const auto found = calls.by_name().find(call);
        return found == calls.by_name().end() ? 0 : found->second;
    }
    [[nodiscard]] const sim_truth& truth() const { return kernel.truth(0); }

    sim_kernel kernel;
    counting_system calls;
    ringdown::loop loop;
    ringdown::connection& connection;
    stream ours;

private:
    struct driver final : ending_driver {
        void changed() noexcept override {
            if (when_changed) when_changed();
        }
        std::shared_ptr<void> part;
        std::function<void()> when_changed;
    };

    task<void> take_down() {
        if (driver_) driver_->when_changed = nullptr;
        connection.cancel_operations(true);
        while (!connection.idle())
            co_await sleep_for(1us);
        if (connection.life() == life_phase::open) connection.enter(life_phase::ending);
        if (connection.life() < life_phase::joined) {
            connection.enter(life_phase::joined);
            kernel.close(connection.descriptor());
        }
        connection.closed([](connection_follower&) {});
    }

    driver* driver_ = nullptr; // the connection owns it
};

} // namespace ringdown::testing
