#include "rig.hpp"
#include "upload.hpp"

#include "support/sock_diag.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// The receiving direction shut down, alone and with the other one.

TEST_CASE("shutdown_receive: later receives fail, nothing goes over the wire, sending goes on") {
    wire_capture capture;
    run([&](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        capture.take();
        const auto stopped = co_await ours.shutdown_receive();
        CHECK(stopped.has_value());
        std::byte into[8];
        const auto got = co_await ours.recv(into);
        CHECK(got.error() == errc::ending);
        const auto leased = co_await ours.recv_lease();
        CHECK(leased.error() == errc::ending);
        if (capture.works() && has_own_network()) CHECK(capture.take().empty());
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        CHECK(theirs.read() == "answer");
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
        at.check_resets(0);
    });
}

TEST_CASE("shutdown_receive: what was unread and what still comes is dropped, counted, no RST") {
    run([](rig& at) -> task<void> {
        // A small window: a peer that nobody reads from would have to stop.
        auto [ours, theirs] = at.connect();
        theirs.write_pattern(5'000);
        const auto stopped = co_await ours.shutdown_receive(64 << 20);
        CHECK(stopped.has_value());
        std::uint64_t written = 0;
        peer_script uploading(at.on, [&] {
            written = theirs.write_pattern(20 << 20);
            theirs.finish();
        });
        const auto end = co_await peer_ended(ours);
        co_await uploading.done();
        CHECK(end == peer_end::finished);
        CHECK(written == 20 << 20);
        CHECK(ours.bytes().discarded == 5'000 + (20 << 20));
        const auto sent = co_await ours.send_last(text("answer"));
        CHECK(sent.bytes == 6);
        const teardown_report report = co_await graceful_close(ours, {.discard_bytes_max = 0});
        CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
        CHECK(report.discarded_bytes == 5'000 + (20 << 20));
        CHECK(report.received_bytes == 0);
        CHECK(theirs.read() == "answer");
        at.check_resets(0);
    });
}

TEST_CASE("shutdown_receive: a receive in flight is cancelled once, and so is a lease") {
    for (const bool lease : {false, true}) {
        CAPTURE(lease);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            std::byte into[8];
            int answers = 0;
            std::error_code told;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn([](stream& by, bool leased, std::span<std::byte> room, int& count,
                            std::error_code& error) -> task<void> {
                    if (leased) {
                        const auto got = co_await by.recv_lease();
                        if (!got) error = got.error();
                    } else {
                        const auto got = co_await by.recv(room);
                        if (!got) error = got.error();
                    }
                    ++count;
                }(ours, lease, into, answers, told));
                co_await sleep_for(5ms);
                const auto stopped = co_await ours.shutdown_receive();
                CHECK(stopped.has_value());
            });
            CHECK(answers == 1);
            CHECK(told == std::errc::operation_canceled);
            theirs.write("dropped");
            theirs.finish();
            const auto end = co_await peer_ended(ours);
            CHECK(end == peer_end::finished);
            CHECK(ours.bytes().discarded == 7);
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.ending == actual_ending::graceful);
            at.check_resets(0);
        });
    }
}

TEST_CASE("shutdown_receive: past its cap the connection is reset, and the report says why") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto stopped = co_await ours.shutdown_receive(10'000);
        CHECK(stopped.has_value());
        std::uint64_t written = 0;
        peer_script uploading(at.on, [&] { written = upload_without_end(theirs); });
        co_await at.all_reported();
        co_await uploading.done();
        CHECK(theirs.last_error() != 0);
        CHECK(row(at.only_report()) == "local discard_limit none aborted acknowledged");
        CHECK(at.only_report().discarded_bytes >= 10'001); // and what was there beside them
        check_uploaded(at, at.only_report(), theirs, written);
        const auto sent = co_await ours.send(text("too late"));
        CHECK(sent.error == errc::ending);
    });
}

TEST_CASE("shutdown_receive: exactly the cap is not too much") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto stopped = co_await ours.shutdown_receive(10'000);
        CHECK(stopped.has_value());
        theirs.write_pattern(10'000);
        theirs.finish();
        const auto end = co_await peer_ended(ours);
        CHECK(end == peer_end::finished);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.discarded_bytes == 10'000);
    });
}

TEST_CASE("shutdown_receive: a reset by the peer is seen") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto stopped = co_await ours.shutdown_receive();
        CHECK(stopped.has_value());
        theirs.write("dropped");
        co_await sleep_for(5ms);
        theirs.reset();
        const auto end = co_await peer_ended(ours);
        CHECK(end == peer_end::reset);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_reset graceful reset acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("shutdown_receive: dropping goes on into every kind of ending") {
    run([](rig& at) -> task<void> {
        for (const auto how : {plans::graceful, plans::wait}) {
            auto [ours, theirs] = at.connect();
            const auto stopped = co_await ours.shutdown_receive();
            CHECK(stopped.has_value());
            theirs.write_pattern(10'000);
            peer_script reader(at.on, [&] {
                CHECK(theirs.read_to_end().finished);
                theirs.close();
            });
            co_await end_connection(ours, {how, teardown_cause::application, {}});
            co_await reader.done();
        }
        for (const auto& each : at.reports()) {
            CHECK(each.discarded_bytes == 10'000);
            CHECK(!each.reset_sent);
        }
        auto [ours, theirs] = at.connect();
        const auto stopped = co_await ours.shutdown_receive();
        CHECK(stopped.has_value());
        const teardown_report report = co_await abort_close(ours);
        CHECK(report.ending == actual_ending::aborted);
        at.check_resets(1);
    });
}

TEST_CASE("shutdown_receive: works on unix streams") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        const auto stopped = co_await ours.shutdown_receive();
        CHECK(stopped.has_value());
        std::uint64_t written = 0;
        peer_script uploading(at.on, [&] {
            written = theirs.write_pattern(1 << 20);
            theirs.finish();
        });
        const auto end = co_await peer_ended(ours);
        co_await uploading.done();
        CHECK(end == peer_end::finished);
        CHECK(written == 1 << 20);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.discarded_bytes == 1 << 20);
    });
}

TEST_CASE("shutdown_both: FIN behind the sends, and what comes is dropped") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto answer = pattern(1 << 20);
        peer_reading seen;
        sent outcome;
        peer_script talking(at.on, [&] {
            theirs.write_pattern(1 << 20); // before it reads
            seen = theirs.read_to_end();
            theirs.finish();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            const auto ended = co_await ours.shutdown_both();
            CHECK(ended.has_value());
        });
        const auto end = co_await peer_ended(ours);
        co_await talking.done();
        CHECK(end == peer_end::finished);
        CHECK(seen.bytes == answer.size());
        CHECK(seen.intact);
        CHECK(seen.finished);
        const auto sent = co_await ours.send(text("x"));
        CHECK(sent.error == std::errc::broken_pipe);
        std::byte into[8];
        const auto got = co_await ours.recv(into);
        CHECK(got.error() == errc::ending);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.discarded_bytes == 1 << 20);
        at.check_resets(0);
    });
}

TEST_CASE("recv_disconnect: waits for the peer's end, graceful or abortive, and drops its data") {
    for (const bool resets : {false, true}) {
        CAPTURE(resets);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            theirs.write_pattern(3'000);
            peer_script ending(at.on, [&] {
                std::this_thread::sleep_for(20ms);
                if (resets)
                    theirs.reset();
                else
                    theirs.finish();
            });
            const auto end = co_await recv_disconnect(ours);
            co_await ending.done();
            CHECK(end == (resets ? peer_end::reset : peer_end::finished));
            CHECK(ours.bytes().discarded == 3'000);
            std::byte into[8];
            const auto got = co_await ours.recv(into);
            CHECK(got.error() == errc::ending);
            co_await graceful_close(ours);
        });
    }
}
