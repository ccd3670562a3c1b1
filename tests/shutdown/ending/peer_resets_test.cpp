#include <memory>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Resets by the peer, in every phase, and networks that give up.

TEST_CASE("a reset in the middle of an answer: one report, which names what is missing") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(4 << 20);
        sent outcome;
        std::uint64_t arrived = 0;
        peer_script resetting(at.on, [&] {
            theirs.read_to_end(100'000);
            arrived = theirs.arrived_at_rest();
            theirs.reset();
        });
        co_await send_into(ours, answer, outcome);
        co_await resetting.done();
        CHECK(outcome.error == std::errc::connection_reset);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_reset graceful reset unacknowledged");
        CHECK(outcome.bytes == report.sent_bytes);
        CHECK(report.sent_bytes + report.unsent_bytes == answer.size());
        CHECK(report.unacknowledged_bytes > 0U);
        check_claim(report, arrived);
        // ECONNRESET, or EPIPE where a send was the second to be told.
        CHECK(report.error);
        CHECK(!report.reset_sent);
        at.check_resets(0);
    });
}

TEST_CASE("a reset while the answer is being flushed: the ending is over at once") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(4 << 20);
        sent outcome;
        teardown_report report;
        std::uint64_t arrived = 0;
        peer_script resetting(at.on, [&] {
            arrived = theirs.arrived_at_rest();
            theirs.reset();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            report = co_await graceful_close(ours);
        });
        co_await resetting.done();
        CHECK(row(report) == "peer peer_reset graceful reset unacknowledged");
        CHECK(report.phase == teardown_phase::flushing);
        CHECK(report.microseconds.total < 2s);
        CHECK(outcome.bytes == report.sent_bytes);
        check_claim(report, arrived);
        at.check_resets(0);
    });
}

TEST_CASE("a reset while idle is seen by a receive, without a write") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        CHECK(theirs.read() == "answer");
        std::byte into[64];
        result<std::size_t> got;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_into(ours, into, got));
            theirs.reset();
            co_return;
        });
        CHECK(got.error() == std::errc::connection_reset);
        // Told once by the kernel, remembered by the library.
        const auto again = co_await ours.recv(into);
        CHECK(again.error() == std::errc::connection_reset);
        const auto refused = co_await ours.send(text("more"));
        CHECK(refused.error == std::errc::connection_reset);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_reset graceful reset acknowledged");
        CHECK(report.unsent_bytes == 0);
        CHECK(report.phase == teardown_phase::open);
        at.check_resets(0);
    });
}

TEST_CASE("a reset while idle that nothing has seen is found by the ending") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        CHECK(theirs.read() == "answer");
        theirs.reset();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_reset graceful reset acknowledged");
        CHECK(report.reset_received);
        CHECK(!report.reset_sent);
        CHECK(report.error == std::errc::connection_reset);
        at.check_resets(0);
    });
}

TEST_CASE("a reset that follows data: the data is counted, the reset is told") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write("last words");
        theirs.reset();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::reset);
        CHECK(report.reset_received);
        CHECK(report.discarded_bytes <= 10);
        at.check_resets(0);
    });
}

TEST_CASE("a reset between our FIN and its acknowledgement is never called delivered") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        CHECK(theirs.read() == "answer");
        const auto delivery = co_await delivered(ours);
        CHECK(delivery.has_value());
        theirs.go_deaf();
        peer_script resetting(at.on, [&] {
            std::this_thread::sleep_for(50ms);
            theirs.reset();
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await resetting.done();
        CHECK(row(report) == "local peer_reset graceful reset unacknowledged");
        CHECK(report.unacknowledged_bytes == 0); // only FIN is unconfirmed
        CHECK(report.unsent_bytes == 0);
        CHECK(report.phase == teardown_phase::fin_sent);
        CHECK(!report.microseconds.fin_acknowledged);
        at.check_resets(0);
    });
}

TEST_CASE("a reset between our FIN, with data before it, and its acknowledgement") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.go_deaf();
        const auto sent = co_await ours.send(text("unheard"));
        CHECK(sent.bytes == 7);
        peer_script resetting(at.on, [&] {
            std::this_thread::sleep_for(50ms);
            theirs.reset();
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await resetting.done();
        CHECK(row(report) == "local peer_reset graceful reset unacknowledged");
        CHECK(report.unacknowledged_bytes == 7);
    });
}

TEST_CASE("a reset after our FIN was acknowledged: delivered, and reset") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        peer_script resetting(at.on, [&] {
            CHECK(theirs.read_to_end().finished);
            std::this_thread::sleep_for(80ms); // longer than an acknowledgement is delayed
            theirs.reset();
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await resetting.done();
        CHECK(row(report) == "local peer_reset graceful reset acknowledged");
        CHECK(report.microseconds.fin_acknowledged.has_value());
        CHECK(!report.peer_finished);
        at.check_resets(0);
    });
}

TEST_CASE("a reset right behind the peer's FIN: the peer had finished, then reset") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.finish();
        std::byte into[64];
        const auto end = co_await ours.recv(into);
        CHECK(end.error() == errc::end_of_stream);
        theirs.reset();
        const auto refused = co_await ours.send(text("answer"));
        CHECK(refused.error);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_reset graceful reset unacknowledged");
        CHECK(report.peer_finished);
        CHECK(report.unsent_bytes == 6);
    });
}

TEST_CASE("a peer that closed with our data unread resets, and that is told") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("never read"));
        CHECK(sent.bytes == 10);
        const auto delivery = co_await delivered(ours);
        CHECK(delivery.has_value());
        theirs.close();
        const teardown_report report = co_await graceful_close(ours);
        // Its kernel had acknowledged, its application never read: the verdict is the kernel's.
        CHECK(row(report) == "peer peer_reset graceful reset acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("a peer that closed while we send resets, and what it had is not overstated") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.their_receive_buffer = 65536});
        const auto answer = pattern(4 << 20);
        sent outcome;
        std::uint64_t arrived = 0;
        peer_script closing(at.on, [&] {
            arrived = theirs.arrived_at_rest();
            theirs.close();
        });
        co_await send_into(ours, answer, outcome);
        co_await closing.done();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_reset graceful reset unacknowledged");
        check_claim(report, arrived);
    });
}

TEST_CASE("a peer that reset before it was accepted: no descriptor lost, its name known") {
    for (const char* where : {"127.0.0.1:0", "[::1]:0"}) {
        CAPTURE(where);
        run([&](rig& at) -> task<void> {
            listener from(at.on, std::make_shared<listening_socket>(address::parse(where).value()));
            auto theirs = connect_peer(from.local());
            const auto name = theirs.local();
            theirs.write("request");
            theirs.reset();
            auto accepted = co_await from.accept();
            REQUIRE(accepted.has_value());
            at.expect_report_of(*accepted);
            const teardown_report report = co_await graceful_close(*accepted);
            CHECK(report.peer.text() == name.text());
            CHECK(report.ending == actual_ending::reset);
            CHECK(report.initiator == teardown_initiator::peer);
            CHECK(report.delivery == delivery_verdict::acknowledged);
            at.check_resets(0);
        });
    }
}

TEST_CASE("a peer that vanished without a packet: the network gave up, and is named") {
    run([](rig& at) -> task<void> {
        const network_in_haste sooner;
        auto [ours, theirs] = at.connect({.user_timeout_ms = 60});
        theirs.go_deaf();
        const auto sent = co_await ours.send(text("into the void"));
        CHECK(sent.bytes == 13);
        const teardown_report report = co_await graceful_close(ours, {.within = 5s, .idle = 5s});
        CHECK(row(report) == "kernel network_timeout graceful lost unacknowledged");
        CHECK(report.unacknowledged_bytes == 13);
        CHECK(report.error == std::errc::timed_out);
        CHECK(!report.reset_received);
        CHECK(report.microseconds.total < 2s);
        CHECK(tcp_state_of(ours) != TCP_ESTABLISHED);
    });
}

TEST_CASE("a peer that vanished while we wait for its FIN is a matter of the idle time") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto finished = co_await ours.shutdown_send();
        CHECK(finished.has_value());
        CHECK(theirs.read_to_end().finished);
        const bool acknowledged =
            co_await eventually(at, [&] { return tcp_state_of(ours) == TCP_FIN_WAIT2; });
        CHECK(acknowledged);
        theirs.go_deaf();
        const teardown_report report = co_await graceful_close(ours, {.idle = 150ms});
        CHECK(row(report) == "local idle graceful degraded acknowledged");
        at.check_resets(1);
    });
}
