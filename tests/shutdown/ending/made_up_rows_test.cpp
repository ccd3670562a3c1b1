#include "rig.hpp"

#include <netinet/tcp.h>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// What a transport can do and what an ending means are rows. Here are some that the library does
// not have: each is one row, and everything works over it.

namespace {

// TCP on a kernel that tells nothing about it, and resets nothing.
constexpr transport_traits silent_tcp{.has_peer = true, .drops_uncopied = true, .has_names = true};
// TCP that has no event for an emptied queue, and copies what it drops.
constexpr transport_traits plain_tcp{
    .has_peer = true, .counts_acknowledgements = true, .resets_on_demand = true, .has_names = true};

// Everything has arrived, and what the peer still says is for the application.
constexpr plan_row hand_over{.called = requested_ending::wait,
                             .flushes = true,
                             .says_fin = true,
                             .waits_for = awaited_answer::acknowledgement,
                             .hands_out = true};

conversation connect_by(rig& at, const transport_traits& traits) {
    raw_pair made = tcp_pair();
    stream ours(connection::adopt(at.on, made.ours, {.traits = traits, .peer = {}}));
    at.expect_report_of(ours);
    return {std::move(ours), std::move(made.theirs)};
}

} // namespace

TEST_CASE("made-up transport: a graceful ending flushes, discards and is acknowledged") {
    for (const auto& traits : {silent_tcp, plain_tcp})
        run([&traits](rig& at) -> task<void> {
            auto [ours, theirs] = connect_by(at, traits);
            const auto answer = pattern(300'000);
            peer_reading seen;
            peer_script reader(at.on, [&] {
                seen = theirs.read_to_end();
                theirs.write("last words");
                theirs.finish();
            });
            sent outcome;
            teardown_report report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(send_into(ours, answer, outcome));
                report = co_await graceful_close(ours);
            });
            co_await reader.done();
            CHECK(row(report) == "local application graceful graceful acknowledged");
            CHECK(report.discarded_bytes == 10);
            CHECK(report.unacknowledged_bytes == 0);
            CHECK(report.peer == theirs.local());
            CHECK(seen.bytes == answer.size());
            CHECK(seen.intact);
            at.check_resets(0);
        });
}

TEST_CASE("made-up transport: past the deadline it is cut off, and the report says so") {
    for (const auto& traits : {silent_tcp, plain_tcp})
        run([&traits](rig& at) -> task<void> {
            auto [ours, theirs] = connect_by(at, traits);
            const auto flood = pattern(20'000'000);
            sent outcome;
            teardown_report report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(send_into(ours, flood, outcome));
                report = co_await graceful_close(ours, {.within = 50ms});
            });
            CHECK(report.ending == actual_ending::degraded);
            CHECK(report.cause == teardown_cause::deadline);
            CHECK(report.delivery == delivery_verdict::unacknowledged);
            CHECK(outcome.bytes < flood.size());
        });
}

TEST_CASE("made-up transport: the peer's reset is told as one") {
    for (const auto& traits : {silent_tcp, plain_tcp})
        run([&traits](rig& at) -> task<void> {
            auto [ours, theirs] = connect_by(at, traits);
            theirs.reset();
            const bool told =
                co_await eventually(at, [&] { return tcp_state_of(ours) == TCP_CLOSE; });
            CHECK(told);
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.ending == actual_ending::reset);
            CHECK(report.initiator == teardown_initiator::peer);
            at.check_resets(0);
        });
}

TEST_CASE("made-up ending: what is sent is acknowledged, and the open descriptor is handed out") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const connection_ref kept(state_of(ours));
        const auto said = co_await ours.send(text("all that we have to say"));
        CHECK(said.bytes == 23);
        const teardown_report report = co_await end(ours, hand_over);
        CHECK(row(report) == "local application wait delivered acknowledged");
        unique_descriptor left = ending::of(*kept).take_descriptor();
        REQUIRE(left);
        const auto seen = theirs.read_to_end();
        CHECK(seen.bytes == 23);
        CHECK(seen.finished);
        theirs.write("and we");
        char into[16];
        CHECK(::recv(left.get(), into, sizeof into, 0) == 6);
        theirs.finish();
        at.check_resets(0);
    });
}

TEST_CASE("made-up ending: past its deadline it is degraded, and the descriptor is reset") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const connection_ref kept(state_of(ours));
        const auto flood = pattern(20'000'000);
        sent outcome;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, flood, outcome));
            report = co_await end(ours, hand_over, {.within = 50ms});
        });
        CHECK(row(report) == "local deadline wait degraded unacknowledged");
        CHECK(ending::of(*kept).take_descriptor());
        at.check_resets(1);
    });
}
