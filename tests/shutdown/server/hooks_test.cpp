#include "server_rig.hpp"

#include <stdexcept>

using namespace ringdown;
using namespace ringdown::testing;

namespace {

using hook = std::function<task<void>(server_phase)>;

server_options with_hook(hook called) {
    server_options options;
    options.on_phase = std::move(called);
    return options;
}

} // namespace

TEST_CASE("hooks: the next phase waits for the hook of the one before") {
    run([](rig& at) -> task<void> {
        bool deregistered = false;
        server* self = nullptr;
        server_rig server(at, echo, with_hook([&](server_phase entered) -> task<void> {
                              if (entered != server_phase::unready) co_return;
                              CHECK(self->phase() == server_phase::unready);
                              co_await sleep_for(50ms);
                              CHECK(self->phase() == server_phase::unready);
                              deregistered = true;
                          }));
        self = &server.serving;
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            in.spawn(drain_into(server.serving, {.first_request_within = 0s}, report));
            co_await sleep_for(10ms);
            peer client = server.connect(); // accepted while the hook waits
            co_await round_trip(at, client, "request");
            CHECK_FALSE(deregistered);
            co_await sees_fin(at, client);
            CHECK(deregistered);
            client.close();
        });
        check_drained(server, *report);
        CHECK(report->time_in(server_phase::unready) >= 50ms);
    });
}

TEST_CASE("hooks: one that hangs is cancelled at the deadline, which is kept") {
    for (const auto phase : {server_phase::unready, server_phase::not_accepting,
                             server_phase::asked_to_finish, server_phase::waiting}) {
        CAPTURE(std::string(name(phase)));
        run([phase](rig& at) -> task<void> {
            bool canceled = false;
            std::vector<server_phase> seen;
            server_rig server(at, echo, with_hook([&](server_phase entered) -> task<void> {
                                  seen.push_back(entered);
                                  if (entered != phase) co_return;
                                  const auto slept = co_await sleep_for(1h);
                                  canceled = !slept;
                              }));
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(server.run());
                auto client = co_await server.idle_client();
                const drain_report report = co_await server.serving.drain({.within = 60ms});
                at.check_near(std::chrono::duration_cast<std::chrono::microseconds>(report.took),
                              60ms);
                check_drained(server, report);
                CHECK(canceled);
                CHECK(seen.back() == server_phase::drained);
                CHECK(seen[seen.size() - 2] == server_phase::aborting);
            });
        });
    }
}

TEST_CASE("hooks: one that does not mind being cancelled keeps the answer waiting, not the reset") {
    run([](rig& at) -> task<void> {
        event stubborn;
        server_rig server(at, echo, with_hook([&](server_phase entered) -> task<void> {
                              if (entered == server_phase::unready) co_await stubborn.join();
                          }));
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            auto client = co_await server.idle_client();
            const auto begun = at.on.now();
            in.spawn(drain_into(server.serving, {.within = 50ms}, report));
            const bool reported =
                co_await eventually(at, [&] { return server.reports().size() == 1; });
            CHECK(reported);
            CHECK(at.on.now() - begun >= 50ms);
            CHECK(server.serving.phase() == server_phase::aborting);
            CHECK_FALSE(report.has_value());
            stubborn.set();
        });
        check_drained(server, *report);
    });
}

TEST_CASE("hooks: one that hangs when nothing is left is cancelled, nobody is aborted") {
    run([](rig& at) -> task<void> {
        server_rig server(at, echo, with_hook([&](server_phase entered) -> task<void> {
                              if (entered == server_phase::waiting) (void)co_await sleep_for(1h);
                          }));
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            const drain_report report = co_await server.serving.drain({.within = 50ms});
            check_drained(server, report);
            CHECK(report.time_in(server_phase::aborting) == 0ns);
            at.check_near(std::chrono::duration_cast<std::chrono::microseconds>(report.took), 50ms);
        });
    });
}

TEST_CASE("hooks: one that throws does not stop the drain") {
    run([](rig& at) -> task<void> {
        std::vector<server_phase> failed;
        auto options = with_hook([](server_phase entered) -> task<void> {
            if (entered != server_phase::waiting) throw std::runtime_error("no load balancer");
            co_return;
        });
        options.on_hook_failed = [&](server_phase in, std::exception_ptr why) {
            CHECK_THROWS_WITH(std::rethrow_exception(why), "no load balancer");
            failed.push_back(in);
        };
        server_rig server(at, echo, options);
        std::optional<drain_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            auto client = co_await server.idle_client();
            in.spawn(drain_into(server.serving, {}, report));
            co_await sees_fin(at, client);
            client.close();
        });
        check_drained(server, *report);
        using enum server_phase;
        CHECK(failed == std::vector{unready, not_accepting, asked_to_finish, drained});
    });
}

TEST_CASE("hooks: escalating within one aborts at once") {
    run([](rig& at) -> task<void> {
        server* self = nullptr;
        std::vector<server_phase> seen;
        server_rig server(at, echo_unmarked, with_hook([&](server_phase entered) -> task<void> {
                              seen.push_back(entered);
                              if (entered != server_phase::not_accepting) co_return;
                              self->escalate();
                              CHECK(self->phase() == server_phase::aborting);
                              // Its own cancellation has been asked for as well.
                              const auto slept = co_await sleep_for(1h);
                              CHECK_FALSE(slept.has_value());
                          }));
        self = &server.serving;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(server.run());
            peer client = server.connect();
            co_await round_trip(at, client, "request");
            const drain_report report = co_await server.serving.drain({.within = 1h});
            check_drained(server, report);
            CHECK(report.escalated);
            CHECK(report.stragglers.size() == 1);
            CHECK(report.took < 60s); // and not an hour
        });
        using enum server_phase;
        CHECK(seen == std::vector{unready, not_accepting, aborting, drained});
    });
}
