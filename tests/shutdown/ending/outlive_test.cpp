#include <csignal>
#include <stdexcept>
#include <thread>

#include <unistd.h>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Streams, sessions and calls that outlive runs and loops, in programs that make them in any order:
// each connection is reported once and its descriptor closed, before the loop is gone.

namespace {

task<void> nothing() { co_return; }

/// A loop on which a connection is adopted outside of any run.
class outside_of_runs {
public:
    outside_of_runs(std::vector<teardown_report>& into, bool has_run) : made_(tcp_pair()) {
        on_.emplace();
        ledger(*on_).on_report([&into](const teardown_report& each) { into.push_back(each); });
        if (has_run) on_->run(nothing());
    }

    stream adopted() {
        auto taken = adopt(*on_, made_.ours);
        REQUIRE(taken.has_value());
        return std::move(*taken);
    }
    loop& on() { return *on_; }
    void end_loop() { on_.reset(); }

    void check_reset(const std::vector<teardown_report>& reports, std::string_view expected) {
        REQUIRE(reports.size() == 1);
        CHECK(row(reports[0]) == expected);
        CHECK(contradictions(reports[0]) == "");
        CHECK(made_.theirs.read_to_end().error == ECONNRESET);
        CHECK(::fcntl(made_.ours, F_GETFD) < 0);
    }

private:
    raw_pair made_;
    std::optional<loop> on_;
};

} // namespace

TEST_CASE("outlive: a stream adopted outside of any run is reported as its loop is destroyed") {
    for (const bool has_run : {false, true}) {
        CAPTURE(has_run);
        std::vector<teardown_report> reports;
        outside_of_runs program(reports, has_run);
        stream kept = program.adopted();
        program.end_loop();
        program.check_reset(reports, "local canceled none aborted acknowledged");
        CHECK(kept.native_handle() < 0);
    }
}

TEST_CASE("outlive: one that was dropped since says so") {
    for (const bool has_run : {false, true}) {
        CAPTURE(has_run);
        std::vector<teardown_report> reports;
        outside_of_runs program(reports, has_run);
        {
            const stream dropped = program.adopted();
        }
        program.end_loop();
        program.check_reset(reports, "local dropped none aborted acknowledged");
    }
}

TEST_CASE("outlive: a posted call that never ran drops the stream that it holds") {
    for (const bool has_run : {false, true}) {
        CAPTURE(has_run);
        std::vector<teardown_report> reports;
        outside_of_runs program(reports, has_run);
        bool ran = false;
        program.on().post([&ran, held = program.adopted()] { ran = true; });
        program.end_loop();
        CHECK(!ran);
        program.check_reset(reports, "local dropped none aborted acknowledged");
    }
}

TEST_CASE("outlive: whoever is told of a report throws while the loop is destroyed") {
    std::vector<teardown_report> reports;
    outside_of_runs program(reports, true);
    ledger(program.on()).on_report([&](const teardown_report& each) {
        reports.push_back(each);
        throw std::runtime_error("on_report");
    });
    const stream kept = program.adopted();
    program.end_loop();
    program.check_reset(reports, "local canceled none aborted acknowledged");
}

TEST_CASE("outlive: a session and its request outlive the loop that has ended them") {
    std::vector<teardown_report> reports;
    outside_of_runs program(reports, false);
    std::optional<session> kept;
    std::optional<request> owed;
    const auto body = [&]() -> task<void> {
        kept.emplace(program.adopted(), session_role::server);
        auto begun = kept->begin_request();
        owed.emplace(std::move(*begun));
        co_return;
    };
    program.on().run(body());
    program.end_loop();
    CHECK(kept->phase() == session_phase::completed);
    program.check_reset(reports, "local canceled none aborted acknowledged");
}

TEST_CASE("outlive: a stream of a run that threw, destroyed by another thread than the loop's") {
    std::vector<teardown_report> reports;
    std::optional<stream> kept;
    outside_of_runs program(reports, false);
    std::thread([&] {
        const auto body = [&]() -> task<void> {
            kept = program.adopted();
            throw std::runtime_error("main");
            co_return;
        };
        CHECK_THROWS_WITH(program.on().run(body()), "main");
    }).join();
    kept.reset();
    program.end_loop();
    program.check_reset(reports, "local canceled none aborted acknowledged");
}

TEST_CASE("outlive: signals outlive a loop on which they were awaited, and serve the next") {
    sigset_t before{};
    ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
    {
        signals told({SIGUSR1});
        for (int loops = 0; loops < 2; ++loops) {
            loop on;
            ::kill(::getpid(), SIGUSR1);
            CHECK(on.run(told.next()) == SIGUSR1);
        }
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}
