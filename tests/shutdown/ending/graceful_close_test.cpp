#include <unistd.h>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Who finishes first, and what each side is told of it.

TEST_CASE("graceful_close: we finish first, and a prompt peer follows") {
    for (const bool we_connect : {false, true}) {
        CAPTURE(we_connect);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect({.we_connect = we_connect});
            const auto sent = co_await ours.send(text("answer"));
            CHECK(sent.bytes == 6);
            peer_script reader(at.on, [&] {
                CHECK(theirs.read() == "answer");
                CHECK(theirs.read_to_end().finished);
                theirs.finish();
            });
            const teardown_report report = co_await graceful_close(ours);
            co_await reader.done();
            CHECK(row(report) == "local application graceful graceful acknowledged");
            CHECK(report.sent_bytes == 6);
            CHECK(report.unsent_bytes == 0);
            CHECK(report.unacknowledged_bytes == 0);
            CHECK(report.phase == teardown_phase::finished);
            CHECK(report.peer == theirs.local());
            at.check_resets(0);
        });
    }
}

TEST_CASE("graceful_close: the peer finished first, and reads the whole answer") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write("request");
        theirs.finish();
        std::byte into[64];
        const auto got = co_await ours.recv(into);
        CHECK(got == 7);
        const auto end = co_await ours.recv(into);
        CHECK(end.error() == errc::end_of_stream);

        const auto answer = pattern(8 << 20);
        peer_reading seen;
        peer_script reader(at.on, [&] { seen = theirs.read_to_end(); });
        const auto sent = co_await ours.send(answer);
        CHECK(sent.bytes == answer.size());
        const teardown_report report = co_await graceful_close(ours);
        co_await reader.done();
        CHECK(seen.bytes == answer.size());
        CHECK(seen.intact);
        CHECK(seen.finished);
        CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
        CHECK(report.received_bytes == 7);
        CHECK(report.discarded_bytes == 0);
        CHECK(report.microseconds.peer_finished == 0us);
        at.check_resets(0);
    });
}

TEST_CASE("graceful_close: the peer's FIN that nobody had read counts as first") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write("request");
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.delivery == delivery_verdict::acknowledged);
        CHECK(report.discarded_bytes == 7);
        CHECK(report.received_bytes == 0);
        // Its end came before our FIN was issued, but nothing had told the library of it.
        CHECK(report.initiator != teardown_initiator::kernel);
        CHECK(theirs.read_to_end().finished);
        at.check_resets(0);
    });
}

TEST_CASE("graceful_close: FINs that cross are graceful, and both sides began") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.go_deaf(); // our FIN is lost, so theirs is sent without knowing of it
        peer_script crossing(at.on, [&] {
            while (count_wire().segments_sent == 0)
                std::this_thread::yield();
            std::this_thread::sleep_for(30ms);
            theirs.finish();
            std::this_thread::sleep_for(30ms);
            theirs.hear();
            CHECK(theirs.read_to_end().finished);
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await crossing.done();
        CHECK(row(report) == "both application graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("graceful_close: both ends of one connection on one loop end it at the same time") {
    run([](rig& at) -> task<void> {
        auto raw = tcp_pair();
        stream ours = at.take_over(raw.ours);
        stream also_ours = at.take_over(::dup(raw.theirs.descriptor()));
        raw.theirs = {};
        const auto closing = [](stream& ended) -> task<teardown_report> {
            co_return co_await graceful_close(ended);
        };
        const auto both = co_await when_all(closing(ours), closing(also_ours));
        CHECK(std::get<0>(both).ending == actual_ending::graceful);
        CHECK(std::get<1>(both).ending == actual_ending::graceful);
        at.check_resets(0);
    });
}

TEST_CASE("graceful_close: after our FIN was sent and the peer's read, only the close is left") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto finished = co_await ours.shutdown_send();
        CHECK(finished.has_value());
        CHECK(theirs.read_to_end().finished);
        theirs.write("late");
        theirs.finish();
        std::byte into[64];
        const auto got = co_await ours.recv(into);
        CHECK(got == 4);
        const auto end = co_await ours.recv(into);
        CHECK(end.error() == errc::end_of_stream);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(report.received_bytes == 4);
        at.check_resets(0);
    });
}

TEST_CASE("graceful_close: a peer that closes its descriptor altogether ends it as well") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        peer_script reader(at.on, [&] {
            theirs.read_to_end();
            theirs.close();
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await reader.done();
        CHECK(row(report) == "local application graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("graceful_close: works over IPv6, and names the peer") {
    for (const bool we_connect : {false, true}) {
        CAPTURE(we_connect);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect({.ipv6 = true, .we_connect = we_connect});
            const auto sent = co_await ours.send(text("answer"));
            CHECK(sent.bytes == 6);
            theirs.finish();
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.ending == actual_ending::graceful);
            CHECK(report.peer.text() == theirs.local().text());
            CHECK(report.peer.text().starts_with("[::1]:"));
            CHECK(theirs.read() == "answer");
            at.check_resets(0);
        });
    }
}

TEST_CASE("graceful_close: of an accepted and a connected stream, each end is reported once") {
    run([](rig& at) -> task<void> {
        listener from(at.on,
                      std::make_shared<listening_socket>(address::parse("127.0.0.1:0").value()));
        auto client = co_await connect(at.on, from.local());
        auto server = co_await from.accept();
        REQUIRE(client.has_value());
        REQUIRE(server.has_value());
        at.expect_report_of(*client);
        at.expect_report_of(*server);
        const auto sent = co_await client->send(text("request"));
        CHECK(sent.bytes == 7);
        const auto closing = [](stream& ended) -> task<teardown_report> {
            co_return co_await graceful_close(ended);
        };
        auto [theirs, ours] = co_await when_all(closing(*client), closing(*server));
        CHECK(theirs.sent_bytes == 7);
        CHECK(theirs.delivery == delivery_verdict::acknowledged);
        CHECK(ours.discarded_bytes == 7);
        CHECK(theirs.peer == from.local());
        CHECK(ours.peer.text().starts_with("127.0.0.1:"));
        at.check_resets(0);
        const auto stopped = co_await from.stop();
        CHECK(stopped.has_value());
    });
}
