#include "sim_rig.hpp"

#include <array>
#include <cerrno>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/shutdown/server/internal/activity.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// What a report says of an end that is hard to tell from another.

namespace {

const std::vector<std::byte> large(10'000);

task<void> receive(stream& ours) {
    std::array<std::byte, 16> into;
    static_cast<void>(co_await ours.recv(into));
}

task<void> send_without_copy(stream& ours) {
    static_cast<void>(co_await ours.send_zero_copy(large));
}

} // namespace

TEST_CASE(
    "verdict: a reset whose error a cut send has swallowed is a reset, with all acknowledged") {
    std::size_t swallowed = 0;
    for (std::uint64_t seed = 1; seed <= 4'000; ++seed) {
        CAPTURE(seed);
        sim_rig at({.seed = seed});
        at.run([&]() -> task<void> {
            peer_script peer;
            peer.latency = 1us;
            peer.send_capacity = 6'000;
            peer.ack_delay = peer.read_every; // acknowledges and resets in one breath
            stream ours = at.connect(peer.await_bytes(6'000).reset());
            const auto deadline = at.loop.now() + std::chrono::microseconds(seed % 20);
            co_await with_deadline(deadline, send_without_copy(ours));
            co_await sleep_for(100us);
            co_await graceful_close(ours, {.within = 1s});
        });
        REQUIRE(at.reports.size() == 1);
        const teardown_report& report = at.reports[0];
        REQUIRE(report.peer_finished == false);
        REQUIRE(report.ending != actual_ending::graceful);
        const bool all = report.sent_bytes > 0 && report.unacknowledged_bytes == 0;
        swallowed += all && report.reset_received;
    }
    CHECK(swallowed > 0);
}

TEST_CASE("verdict: an end inside a message that takes too long to answer is the deadline's") {
    sim_rig at;
    at.run([&]() -> task<void> {
        // Its FIN comes, and no acknowledgement of ours.
        session talk(at.connect(peer_script().write("half").finish().vanish()),
                     session_role::server);
        session_policy policy;
        policy.limits = {.within = 50ms, .idle = 0ns};
        talk.inside_message(true);
        std::array<std::byte, 16> into;
        const auto half = co_await talk.recv(into);
        CHECK(half == 4);
        CHECK(talk.begin_shutdown(policy));
        const auto done = co_await talk.completed();
        REQUIRE(done.has_value());
        CHECK(done->peer == session_peer_end::truncated);
        CHECK(done->connection.cause == teardown_cause::deadline);
    });
}

TEST_CASE("verdict: whatever the network says as it gives a peer up, the connection is lost") {
    for (const int error : {ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN}) {
        CAPTURE(error);
        sim_rig at;
        at.run([&]() -> task<void> {
            peer_script peer;
            peer.loss_errno = error;
            stream ours = at.connect(peer.vanish());
            const auto sent = co_await ours.send(bytes_of("into the void"));
            CHECK(sent);
            const auto report = co_await graceful_close(ours, {.within = 2h, .idle = 0ns});
            CHECK(report.ending == actual_ending::lost);
            CHECK(report.cause == teardown_cause::network_timeout);
            CHECK(report.initiator == teardown_initiator::kernel);
            CHECK(report.error == std::error_code(error, std::system_category()));
            CHECK(report.delivery == delivery_verdict::unacknowledged);
        });
    }
}

TEST_CASE("verdict: where queue sizes are refused no FIN is called acknowledged for that") {
    for (const bool by_ring : {false, true}) {
        CAPTURE(by_ring);
        sim_options options{.disturbed = false};
        if (!by_ring) options.missing.add(capability::socket_queue_commands);
        sim_rig at(options);
        at.run([&]() -> task<void> {
            stream ours = at.connect(peer_script().vanish());
            at.kernel.refuse_queue_sizes();
            const connection_ref kept(state_of(ours));
            begin_ending(ours, {.requested = plans::wait, .policy = {.within = 300ms}});
            co_await sleep_for(50ms);
            CHECK(activity_by_now(*kept) == connection_activity::acknowledging);
            const auto report = co_await ended(ours);
            CHECK(report.ending == actual_ending::degraded);
            CHECK(report.phase == teardown_phase::fin_sent);
            CHECK(report.delivery == delivery_verdict::unacknowledged);
        });
    }
}

// The error is told once, and a receive and a poll may both complete by it, in any order.
TEST_CASE("verdict: a network that gave the peer up is no reset, whoever was told of the error") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        sim_rig at({.seed = seed});
        at.run([&]() -> task<void> {
            stream ours = at.connect(peer_script().vanish());
            const auto sent = co_await ours.send(bytes_of("into the void"));
            CHECK(sent);
            auto body = [&](scope& inside) -> task<void> {
                inside.spawn(receive(ours));
                const auto end = co_await peer_closed(ours);
                REQUIRE(!end);
                REQUIRE(end.error() == std::errc::timed_out);
            };
            co_await with_scope(body);
            const auto report = co_await graceful_close(ours);
            REQUIRE(report.ending == actual_ending::lost);
        });
    }
}

TEST_CASE("verdict: what acts at a peer's end begins when its error is known, and says no FIN") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        sim_rig at({.seed = seed});
        at.run([&]() -> task<void> {
            stream ours = at.connect(peer_script().vanish());
            const auto sent = co_await ours.send(bytes_of("into the void"));
            CHECK(sent);
            when_peer_ends(ours, {.does = peer_end_policy::action::finish});
            auto body = [&](scope& inside) -> task<void> {
                inside.spawn(receive(ours));
                const auto report = co_await ended(ours);
                REQUIRE(report.ending == actual_ending::lost);
                REQUIRE(report.phase == teardown_phase::open);
            };
            co_await with_scope(body);
        });
    }
}

TEST_CASE("verdict: what comes while the last operation is joined is dropped, and resets nobody") {
    sim_rig at({.disturbed = false, .calls_take_time = false, .late_cancel = 1ms});
    at.run([&]() -> task<void> {
        stream ours = at.connect(peer_script().await_fin().pause(100us).write(100));
        const auto report = co_await close(ours, lingering::wait(1s));
        REQUIRE(report.has_value());
        CHECK(report->ending == actual_ending::delivered);
        CHECK(report->discarded_bytes == 100);
        CHECK_FALSE(report->reset_sent);
    });
    CHECK_FALSE(at.kernel.truth(0).reset_sent);
}
