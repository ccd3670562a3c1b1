#include <thread>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// SEQPACKET connections end as unix streams do; what is their own is that messages stay whole, and
// that an empty one is no end.

namespace {

using received = result<packet>;

} // namespace

TEST_CASE("packets: graceful_close sends all messages, FIN, and waits for the peer's end") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets();
        for (const char* message : {"answer", "", "more"})
            CHECK(co_await ours.send(text(message)));
        peer_script script(at.on, [&] {
            for (const char* message : {"answer", "", "more"})
                CHECK(theirs.receive() == message);
            CHECK(theirs.receive().ended());
            theirs.finish();
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await script.done();
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(report.phase == teardown_phase::finished);
        CHECK(report.sent_bytes == 10);
        CHECK(report.unacknowledged_bytes == 0);
        CHECK(report.peer.text() == "unix:");
        CHECK((co_await ours.send(text("late"))).error == errc::ending);
        CHECK((co_await ours.recv({})).error() == errc::ending);
    });
}

TEST_CASE("packets: the peer that finished first is named, once its end was read") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets();
        theirs.send("");
        theirs.finish();
        std::byte into[8];
        const received message = co_await ours.recv(into);
        CHECK(message.has_value());
        CHECK(peer_end::finished == *co_await peer_closed(ours));
        const received end = co_await ours.recv(into);
        CHECK(end.error() == errc::end_of_stream);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
        CHECK(theirs.receive().ended());
    });
}

TEST_CASE("packets: what the peer still sends is dropped, and an empty message is not its end") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets();
        peer_script script(at.on, [&] {
            theirs.send("");
            CHECK(theirs.receive().ended());
            for (const char* message : {"", "four", ""}) {
                theirs.send(message);
                std::this_thread::sleep_for(10ms);
            }
            theirs.finish();
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await script.done();
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(report.discarded_bytes == 4);
        CHECK(report.received_bytes == 0);
        REQUIRE(report.microseconds.peer_finished.has_value());
        CHECK(*report.microseconds.peer_finished >= 30ms);
    });
}

TEST_CASE("packets: an empty message that nobody has read is not acknowledged") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets();
        CHECK(co_await ours.send({}));
        const teardown_report report = co_await graceful_close(ours, {.within = 60ms});
        CHECK(row(report) == "local deadline graceful degraded unacknowledged");
        CHECK(report.phase == teardown_phase::fin_sent);
        CHECK(!report.unacknowledged_bytes.has_value());
        CHECK(report.sent_bytes == 0);
        CHECK(theirs.receive() == "");
        CHECK(theirs.receive().ended());
    });
}

TEST_CASE("packets: delivered waits until the peer has read every message") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets();
        CHECK(co_await ours.send(text("one")));
        CHECK(co_await ours.send({}));
        CHECK(theirs.receive() == "one");
        bool read = false;
        peer_script script(at.on, [&] {
            std::this_thread::sleep_for(20ms);
            read = true;
            CHECK(theirs.receive() == "");
        });
        const auto all = co_await delivered(ours);
        CHECK(all.has_value());
        CHECK(read);
        co_await script.done();
        theirs.finish();
        co_await graceful_close(ours);
    });
}

TEST_CASE("packets: peer_closed sees past messages, empty ones too, and tells a reset") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets();
        std::optional<result<peer_end>> end;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](packet_stream& by, std::optional<result<peer_end>>& into) -> task<void> {
                into = co_await peer_closed(by);
            }(ours, end));
            co_await noop();
            theirs.send("");
            co_await sleep_for(5ms);
            CHECK(!end.has_value());
            theirs.finish();
        });
        REQUIRE(end.has_value());
        CHECK(**end == peer_end::finished);
        std::byte into[8];
        const received message = co_await ours.recv(into);
        CHECK(message.has_value());
        co_await graceful_close(ours);

        auto other = at.connect_packets();
        CHECK(co_await other.ours.send(text("never read")));
        other.theirs.close();
        CHECK(*co_await peer_closed(other.ours) == peer_end::reset);
        const teardown_report report = co_await graceful_close(other.ours);
        CHECK(row(report) == "peer peer_reset graceful reset unacknowledged");
        CHECK(report.reset_received);
        CHECK(!report.unacknowledged_bytes.has_value());
    });
}

TEST_CASE(
    "packets: peer_ended comes behind empty messages too, whether the peer finished or reset") {
    for (const bool resets : {false, true}) {
        CAPTURE(resets);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect_packets();
            if (resets) CHECK(co_await ours.send(text("never read")));
            theirs.send("");
            theirs.send("");
            if (resets)
                theirs.close();
            else
                theirs.finish();
            std::optional<result<peer_end>> end;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(
                    [](packet_stream& by, std::optional<result<peer_end>>& into) -> task<void> {
                        into = co_await peer_ended(by);
                    }(ours, end));
                co_await sleep_for(5ms);
                std::byte into[8];
                for (int left = 2; left > 0; --left) {
                    CHECK(!end.has_value()); // so many messages are left
                    const received message = co_await ours.recv(into);
                    REQUIRE(message.has_value());
                    CHECK(message->whole == 0);
                    co_await sleep_for(1ms);
                }
                CHECK(end.has_value());
                in.cancel();
            });
            REQUIRE(end.has_value());
            CHECK(*end == (resets ? peer_end::reset : peer_end::finished));
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.ending == (resets ? actual_ending::reset : actual_ending::graceful));
        });
    }
}

TEST_CASE("packets: a peer that closes in the middle of our messages resets") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets(8192);
        const auto message = pattern(3000);
        std::vector<sent> outcomes(8);
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            for (sent& each : outcomes)
                in.spawn(send_into(ours, message, each));
            co_await noop();
            theirs.close();
            report = co_await graceful_close(ours);
        });
        CHECK(report.ending == actual_ending::reset);
        CHECK(report.delivery == delivery_verdict::unacknowledged);
        CHECK(report.sent_bytes % 3000 == 0);
        CHECK(report.unsent_bytes > 0);
        CHECK(report.sent_bytes + report.unsent_bytes == 8 * 3000);
        std::uint64_t sent_bytes = 0;
        for (const sent& each : outcomes) {
            CHECK((each.bytes == 0 || each.bytes == 3000));
            sent_bytes += each.bytes;
        }
        CHECK(sent_bytes == report.sent_bytes);
    });
}

TEST_CASE("packets: the classic closes") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets();
        CHECK(co_await ours.send(text("answer")));
        peer_script reader(at.on, [&] {
            std::this_thread::sleep_for(20ms);
            CHECK(theirs.receive() == "answer");
        });
        const auto waited = co_await close(ours, lingering::wait(3s));
        co_await reader.done();
        REQUIRE(waited.has_value());
        CHECK(row(*waited) == "local application wait delivered acknowledged");
        CHECK(waited->microseconds.total >= 15ms);
        CHECK(theirs.receive().ended());

        auto second = at.connect_packets();
        const auto aborted = co_await close(second.ours, lingering::abort());
        CHECK(row(*aborted) == "local application abort aborted acknowledged");

        auto third = at.connect_packets();
        third.theirs.send("");
        third.theirs.finish();
        CHECK(!co_await close(third.ours, lingering::background(3s)));
        third.ours = packet_stream();
        co_await at.all_reported();
        CHECK(row(at.reports().back()) == "local application background graceful acknowledged");
    });
}

TEST_CASE("packets: the discard cap holds, with messages whole") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets();
        peer_script writer(at.on, [&] {
            const std::string message(10'000, 'm');
            while (theirs.send(message) == 0) {
            }
        });
        const teardown_report report =
            co_await graceful_close(ours, {.discard_bytes_max = 100'000});
        co_await writer.done();
        CHECK(row(report) == "local discard_limit graceful degraded acknowledged");
        CHECK(report.discarded_bytes > 100'000);
        CHECK(report.discarded_bytes % 10'000 == 0);
    });
}
