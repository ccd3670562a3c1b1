#include <algorithm>
#include <cerrno>
#include <string>

#include <doctest/doctest.h>

#include <ringdown/ringdown.hpp>

#include "schedule.hpp"
#include "support/sim_kernel.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

// Calls that the kernel refuses, in any order of events.

namespace {

constexpr sim_options calm{.disturbed = false, .calls_take_time = false};

template <class Body>
teardown_report report_of(sim_kernel& kernel, const peer_script& script, Body body) {
    loop_options options;
    options.calls = &kernel;
    std::optional<teardown_report> made;
    {
        loop on(options);
        ledger(on).on_report([&](const teardown_report& report) { made = report; });
        on.run([](loop& at, int fd, Body& what) -> task<void> {
            auto ours = adopt(at, fd);
            REQUIRE(ours.has_value());
            co_await what(*ours);
        }(on, kernel.adopt_peer(script), body));
    }
    CHECK(kernel.violations().empty());
    REQUIRE(made.has_value());
    return *made;
}

} // namespace

TEST_CASE("schedules: an abort whose connect(2) is refused keeps every promise in any order") {
    using schedules::way;
    const std::uint64_t each_way = std::min<std::uint64_t>(schedules::of_each(), 1000);
    std::uint64_t reset = 0;
    for (const way how :
         {way::graceful, way::abort, way::background, way::wait, way::dropped, way::scope_canceled,
          way::loop_ends, way::session_server, way::session_client}) {
        for (std::uint64_t seed = 1; seed <= each_way; ++seed) {
            const auto outcome = schedules::run({.how = how, .seed = seed, .connect_error = EPERM});
            std::string complaints;
            for (const std::string& each : outcome.complaints)
                complaints += each + "; ";
            CAPTURE(schedules::name(how));
            CAPTURE(seed);
            CAPTURE(outcome.peer);
            REQUIRE(complaints == "");
            for (const teardown_report& report : outcome.reports) // none when adopt refused it
                reset += report.reset_sent;
        }
    }
    CHECK(reset > each_way);
}

TEST_CASE("refused calls: without TCP_INFO nothing is called acknowledged that was not") {
    sim_options options = calm;
    options.tcp_info_error = EPERM;
    sim_kernel kernel(options);
    const auto report = report_of(kernel, peer_script().vanish(), [](stream& ours) -> task<void> {
        const sent answered = co_await ours.send(bytes_of("answer"));
        CHECK(answered);
        co_await graceful_close(ours, {.within = 500ms});
    });
    CHECK(report.delivery != delivery_verdict::acknowledged);
    CHECK(report.phase == teardown_phase::fin_sent);
    CHECK(report.ending == actual_ending::degraded);
}

TEST_CASE("refused calls: a receive that cannot drop ends the connection, with its error") {
    sim_options options = calm;
    options.discard_error = EINVAL;
    sim_kernel kernel(options);
    const auto report = report_of(kernel, peer_script(), [](stream& ours) -> task<void> {
        co_await graceful_close(ours, {.within = 500ms});
    });
    CHECK(report.cause == teardown_cause::error);
    CHECK(report.error == std::errc::invalid_argument);
    CHECK(report.microseconds.total < 400ms);
}

TEST_CASE("close(wait): what comes just before the close is dropped, counted, and told") {
    std::uint64_t dropped = 0;
    std::uint64_t finished = 0;
    for (auto pause = 0us; pause < 60us; ++pause) {
        CAPTURE(pause.count());
        sim_kernel kernel(calm);
        const auto script = peer_script().await_fin().pause(pause).write(100).finish();
        const auto report = report_of(kernel, script, [](stream& ours) -> task<void> {
            co_await close(ours, lingering::wait(500ms));
        });
        const sim_truth& truth = kernel.truth(0);
        CHECK_FALSE(report.reset_sent);
        CHECK_FALSE(truth.reset_sent);
        CHECK(report.discarded_bytes == truth.taken + truth.dropped);
        CHECK(report.peer_finished == truth.finish_told);
        dropped += report.discarded_bytes > 0;
        finished += report.peer_finished;
    }
    CHECK(dropped > 0);
    CHECK(finished > 0);
}
