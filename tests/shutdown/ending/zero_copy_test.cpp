#include <cstring>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// The buffer of a zero-copy send belongs to the kernel until it lets go.

namespace {

// Overwrites the buffer the moment that the send has returned.
task<void> send_and_scribble(stream& by, std::vector<std::byte>& data, sent& outcome) {
    outcome = co_await by.send_zero_copy(data);
    std::memset(data.data(), 0xEE, data.size());
}

} // namespace

TEST_CASE("zero-copy send, then graceful_close: the peer gets what was sent, not what was written "
          "over it") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.their_receive_buffer = 65536});
        auto data = pattern(2 << 20);
        sent outcome;
        teardown_report report;
        peer_reading seen;
        peer_script reader(at.on, [&] {
            std::this_thread::sleep_for(50ms);
            seen = theirs.read_to_end();
            theirs.finish();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_and_scribble(ours, data, outcome));
            report = co_await graceful_close(ours);
        });
        co_await reader.done();
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(outcome.bytes == data.size());
        CHECK(seen.bytes == data.size());
        CHECK(seen.intact);
        at.check_resets(0);
    });
}

TEST_CASE("zero-copy send, then close(wait): the same") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.their_receive_buffer = 65536});
        auto data = pattern(1 << 20);
        sent outcome;
        std::optional<teardown_report> report;
        peer_reading seen;
        peer_script reader(at.on, [&] { seen = theirs.read_to_end(); });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_and_scribble(ours, data, outcome));
            report = co_await close(ours, lingering::wait(5s));
        });
        co_await reader.done();
        REQUIRE(report.has_value());
        CHECK(report->ending == actual_ending::delivered);
        CHECK(seen.bytes == data.size());
        CHECK(seen.intact);
        at.check_resets(0);
    });
}

TEST_CASE("zero-copy send to a peer that never reads: the deadline frees the buffer") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        auto data = pattern(4 << 20);
        sent outcome;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_and_scribble(ours, data, outcome));
            report = co_await graceful_close(ours, {.within = 200ms});
        });
        CHECK(row(report) == "local deadline graceful degraded unacknowledged");
        at.check_near(report.microseconds.total, 200ms);
        CHECK(outcome.bytes == report.sent_bytes);
        CHECK(outcome.error);
        check_claim(report, theirs.arrived());
        const auto seen = theirs.read_to_end();
        CHECK(seen.intact);
        CHECK(seen.error == ECONNRESET);
        at.check_resets(1);
    });
}

TEST_CASE("zero-copy send, all accepted, to a deaf peer: an abort frees the buffer") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.go_deaf();
        auto data = pattern(20'000);
        sent outcome;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_and_scribble(ours, data, outcome));
            co_await sleep_for(30ms);
            report = co_await abort_close(ours);
        });
        CHECK(row(report) == "local application abort aborted unacknowledged");
        CHECK(outcome.bytes == 20'000);
        CHECK(!outcome.error);
        CHECK(report.sent_bytes == 20'000);
        CHECK(report.unacknowledged_bytes == 20'000U);
        CHECK(report.microseconds.total < 30s); // and not the network's patience
    });
}

TEST_CASE("zero-copy send to a deaf peer, then release: at its time a reset frees the buffer") {
    for (const bool canceled : {false, true}) {
        CAPTURE(canceled);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            theirs.go_deaf();
            auto data = pattern(20'000);
            sent outcome;
            left_open left;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(send_and_scribble(ours, data, outcome));
                co_await sleep_for(10ms);
                in.spawn(
                    [](stream& of, std::chrono::nanoseconds time, left_open& into) -> task<void> {
                        into = co_await release(of, time);
                    }(ours, canceled ? 1h : 50ms, left));
                co_await sleep_for(20ms);
                if (canceled) in.cancel();
            });
            CHECK(left.descriptor.get() >= 0);
            CHECK(outcome.bytes == 20'000);
            CHECK(left.report.unacknowledged_bytes == 20'000U);
            if (!at.on.has(capability::zero_copy_send)) { // it was a plain send
                CHECK(left.report.ending == actual_ending::released);
                co_return;
            }
            CHECK(row(left.report) == (canceled ? "local canceled release aborted unacknowledged"
                                                : "local deadline release aborted unacknowledged"));
            at.check_near(left.report.microseconds.total, canceled ? 20ms : 50ms);
        });
    }
}

TEST_CASE("zero-copy send, then release: the buffer is free before the descriptor is handed out") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        auto data = pattern(200'000);
        sent outcome;
        left_open left;
        peer_reading seen;
        peer_script reader(at.on, [&] { seen = theirs.read_to_end(200'000); });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_and_scribble(ours, data, outcome));
            left = co_await release(ours);
        });
        co_await reader.done();
        CHECK(left.report.ending == actual_ending::released);
        CHECK(outcome.bytes == 200'000);
        CHECK(seen.bytes == 200'000);
        CHECK(seen.intact);
    });
}

TEST_CASE("zero-copy send in flight when the peer resets, or the stream is dropped") {
    for (const bool peer_resets : {true, false}) {
        CAPTURE(peer_resets);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] =
                at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
            auto data = pattern(4 << 20);
            sent outcome;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(send_and_scribble(ours, data, outcome));
                co_await sleep_for(30ms);
                if (peer_resets)
                    theirs.reset();
                else
                    ours = stream();
            });
            CHECK(outcome.error);
            CHECK(outcome.bytes < data.size());
            if (peer_resets) co_await graceful_close(ours);
            co_await at.all_reported();
            const auto& report = at.only_report();
            CHECK(report.sent_bytes == outcome.bytes);
            CHECK(report.unsent_bytes == data.size() - outcome.bytes);
            CHECK(report.ending == (peer_resets ? actual_ending::reset : actual_ending::aborted));
            at.check_resets(peer_resets ? 0 : 1);
        });
    }
}

TEST_CASE("zero-copy and plain sends queued together arrive in order before FIN") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.their_receive_buffer = 65536});
        constexpr std::size_t each = 200'000;
        auto first = pattern(each), third = pattern(each, 2 * each);
        const auto second = pattern(each, each);
        std::array<sent, 3> outcomes;
        peer_reading seen;
        peer_script reader(at.on, [&] {
            seen = theirs.read_to_end();
            theirs.finish();
        });
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_and_scribble(ours, first, outcomes[0]));
            in.spawn(send_into(ours, second, outcomes[1]));
            in.spawn(send_and_scribble(ours, third, outcomes[2]));
            report = co_await graceful_close(ours);
        });
        co_await reader.done();
        CHECK(report.ending == actual_ending::graceful);
        CHECK(seen.bytes == 3 * each);
        CHECK(seen.intact);
        CHECK(seen.finished);
        at.check_resets(0);
    });
}
