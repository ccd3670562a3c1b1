#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/ringdown.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

#include "schedule.hpp"
#include "support/sim_kernel.hpp"

using namespace ringdown;

// A close that fails, which Linux never does to a socket that is open: the descriptor is gone all
// the same, and the error is in the report.

namespace {

std::vector<teardown_report> close_with_error(const sim_options& of_kernel, int& taken) {
    sim_kernel kernel(of_kernel);
    loop_options options;
    options.calls = &kernel;
    std::vector<teardown_report> all;
    {
        loop on(options);
        ledger(on).on_report([&](const teardown_report& report) { all.push_back(report); });
        const int fd = kernel.adopt_peer(peer_script().await_fin().finish());
        on.run([](loop& at, int descriptor, int& times) -> task<void> {
            auto ours = adopt(at, descriptor);
            const teardown_report report = co_await graceful_close(*ours);
            CHECK(report.error == std::errc::io_error);
            ++times;
        }(on, fd, taken));
        CHECK(on.operations_in_flight() == 0);
        CHECK(kernel.truth(0).closed);
    }
    CHECK(kernel.violations().empty());
    CHECK(kernel.open_descriptors() == 0);
    CHECK(kernel.operations_in_flight() == 0);
    return all;
}

} // namespace

TEST_CASE("close: one that fails is reported once, with its error, told silently or not") {
    for (const bool silent : {true, false}) {
        CAPTURE(silent);
        const auto frames = frame_pool::statistics().live;
        sim_options options{.disturbed = false, .close_error = EIO};
        if (!silent) options.missing.add(capability::skip_success);
        int completed = 0;
        const auto reports = close_with_error(options, completed);
        CHECK(completed == 1);
        REQUIRE(reports.size() == 1);
        CHECK(reports[0].error == std::errc::io_error);
        CHECK(reports[0].ending == actual_ending::graceful);
        CHECK(reports[0].cause == teardown_cause::application);
        CHECK(reports[0].delivery == delivery_verdict::acknowledged);
        CHECK(frame_pool::statistics().live == frames);
    }
}

TEST_CASE("schedules: a close that fails keeps every promise in any order of events") {
    using schedules::way;
    std::uint64_t failed = 0;
    for (const way how : {way::graceful, way::abort, way::background, way::wait, way::dropped,
                          way::scope_canceled, way::loop_ends}) {
        for (std::uint64_t seed = 1; seed <= 300; ++seed) {
            const auto outcome = schedules::run({.how = how, .seed = seed, .close_error = EIO});
            std::string complaints;
            for (const std::string& each : outcome.complaints)
                complaints += each + "; ";
            CAPTURE(schedules::name(how));
            CAPTURE(seed);
            CAPTURE(outcome.peer);
            REQUIRE(complaints == "");
            if (outcome.reports.empty()) continue; // the peer was quicker than adopt
            const teardown_report& report = outcome.reports[0];
            // How the connection itself came to its end is more worth telling.
            const bool ended = report.reset_received || report.ending == actual_ending::lost;
            if (!ended) CHECK(report.error == std::errc::io_error);
            failed += report.error == std::errc::io_error;
        }
    }
    CHECK(failed > 1000);
}
