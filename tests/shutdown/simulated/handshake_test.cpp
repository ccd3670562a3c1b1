#include "sim_rig.hpp"

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/shutdown/server/internal/activity.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// Connections that TCP_FASTOPEN has accepted before their handshake was done. Until then the kernel
// says that nothing is queued, whatever was sent.

namespace {

const std::vector<std::byte> answer(1'000);

peer_script silent() {
    peer_script peer;
    peer.fast_open = true;
    return peer.vanish();
}

// The peer completes the handshake after that time.
peer_script late(std::chrono::milliseconds time) {
    peer_script peer;
    peer.fast_open = true;
    peer.ack_delay = time;
    return peer;
}

} // namespace

TEST_CASE("handshake: a peer that never completes it has been delivered nothing, by any ending") {
    for (const bool data : {false, true}) {
        for (const auto how : {lingering::wait(300ms), lingering::background(300ms)}) {
            CAPTURE(data);
            sim_rig at;
            at.run([&]() -> task<void> {
                stream ours = at.connect(silent());
                if (data) {
                    const auto sent = co_await ours.send(answer);
                    CHECK(sent.bytes == answer.size());
                }
                co_await close(ours, how);
                co_await sleep_for(1s);
            });
            REQUIRE(at.reports.size() == 1);
            CHECK(at.reports[0].ending == actual_ending::degraded);
            CHECK(at.reports[0].delivery == delivery_verdict::unacknowledged);
            CHECK(at.reports[0].unacknowledged_bytes == (data ? 1'000 : 0));
            CHECK(!at.reports[0].microseconds.fin_acknowledged);
            CHECK(at.reports[0].reset_sent);
            CHECK(at.kernel.truth(0).reset_sent);
            CHECK(!at.kernel.truth(0).fin_sent);
        }
    }
}

TEST_CASE("handshake: looking at an ending says nothing more either") {
    sim_rig at;
    at.run([&]() -> task<void> {
        stream ours = at.connect(silent());
        begin_ending(ours, {plans::wait, teardown_cause::application, {.within = 50ms}});
        co_await sleep_for(10ms);
        CHECK(snapshot_of(state_of(ours), {}).activity == connection_activity::acknowledging);
        co_await sleep_for(100ms);
    });
    REQUIRE(at.reports.size() == 1);
    CHECK(at.reports[0].delivery == delivery_verdict::unacknowledged);
}

TEST_CASE("handshake: once it is done, and FIN acknowledged, that is told as it happens") {
    for (const bool data : {false, true}) {
        CAPTURE(data);
        sim_rig at;
        at.run([&]() -> task<void> {
            stream ours = at.connect(late(40ms));
            if (data) {
                const auto sent = co_await ours.send(answer);
                CHECK(sent.bytes == answer.size());
            }
            const auto done = co_await close(ours, lingering::wait(2s));
            REQUIRE(done.has_value());
            CHECK(done->ending == actual_ending::delivered);
            CHECK(done->delivery == delivery_verdict::acknowledged);
            CHECK(done->microseconds.fin_acknowledged >= 40ms);
            CHECK(done->microseconds.total < 95ms); // no timer was needed for it
            CHECK(at.kernel.truth(0).fin_acknowledged);
        });
    }
}

TEST_CASE("handshake: delivered waits for it") {
    sim_rig at;
    at.run([&]() -> task<void> {
        stream ours = at.connect(late(40ms).await_fin().finish());
        const auto begun = at.loop.now();
        const auto sent = co_await ours.send(answer);
        CHECK(sent.bytes == answer.size());
        const auto done = co_await delivered(ours);
        CHECK(done.has_value());
        CHECK(at.loop.now() - begun >= 40ms);
        CHECK(at.kernel.truth(0).acknowledged == answer.size());
        co_await graceful_close(ours);

        stream other = at.connect(silent());
        const auto more = co_await other.send(answer);
        CHECK(more.bytes == answer.size());
        const auto never = co_await with_deadline(at.loop.now() + 1s, delivered(other));
        CHECK(never.error() == errc::deadline_passed);
        co_await abort_close(other);
    });
}

TEST_CASE("questions: a kernel that refuses to answer has confirmed nothing") {
    for (const bool queue : {false, true}) {
        CAPTURE(queue);
        sim_options options{.disturbed = false};
        options.missing.add(capability::socket_queue_commands);
        sim_rig at(options);
        at.run([&]() -> task<void> {
            stream ours = at.connect(peer_script().vanish());
            co_await sleep_for(1ms);
            const auto sent = co_await ours.send(answer);
            CHECK(sent.bytes == answer.size());
            if (queue)
                at.kernel.refuse_queue_sizes();
            else
                at.kernel.refuse_tcp_info();
            begin_ending(ours, {plans::wait, teardown_cause::application, {.within = 50ms}});
            co_await sleep_for(10ms);
            CHECK(snapshot_of(state_of(ours), {}).activity == connection_activity::acknowledging);
            co_await sleep_for(1s);
        });
        REQUIRE(at.reports.size() == 1);
        CHECK(at.reports[0].delivery ==
              (queue ? delivery_verdict::unacknowledged : delivery_verdict::unknown));
        CHECK(!at.reports[0].microseconds.fin_acknowledged);
        CHECK(at.reports[0].phase == teardown_phase::fin_sent);
    }
}

TEST_CASE("close: a wait is told of FIN's acknowledgement by the kernel, not by a timer") {
    for (const int milliseconds : {1, 7, 40}) {
        CAPTURE(milliseconds);
        sim_rig at;
        at.run([&]() -> task<void> {
            peer_script peer;
            peer.ack_delay = std::chrono::milliseconds(milliseconds);
            stream ours = at.connect(peer);
            const auto done = co_await close(ours, lingering::wait(2s));
            REQUIRE(done.has_value());
            CHECK(done->ending == actual_ending::delivered);
            CHECK(done->microseconds.total < peer.ack_delay + 1ms);
        });
    }
}
