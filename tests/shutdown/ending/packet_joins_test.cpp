#include <fcntl.h>
#include <unistd.h>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Ends of SEQPACKET connections that find operations in flight, or that no verb asked for.

namespace {

using received = result<packet>;

} // namespace

TEST_CASE("packets: a receive in flight at a graceful close is cancelled") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets();
        std::byte into[8];
        received got;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_into(ours, into, got));
            co_await noop();
            theirs.finish();
            theirs.close();
            const teardown_report report = co_await abort_close(ours);
            CHECK(report.requested == requested_ending::abort);
        });
        CHECK(!got.has_value());

        auto other = at.connect_packets();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_into(other.ours, into, got));
            co_await noop();
            peer_script script(at.on, [&] {
                CHECK(other.theirs.receive().ended());
                other.theirs.send("late");
                other.theirs.finish();
            });
            const teardown_report report = co_await graceful_close(other.ours);
            co_await script.done();
            CHECK(row(report) == "local application graceful graceful acknowledged");
            CHECK(report.discarded_bytes == 4);
        });
        REQUIRE(!got.has_value());
        CHECK(got.error() == std::errc::operation_canceled);
    });
}

TEST_CASE("packets: a message that races with the close is received or discarded, never lost") {
    run([](rig& at) -> task<void> {
        for (int round = 0; round < 20; ++round) {
            auto [ours, theirs] = at.connect_packets();
            std::byte into[8];
            received got;
            teardown_report report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(receive_into(ours, into, got));
                for (int turn = 0; turn < round % 3; ++turn)
                    co_await noop();
                theirs.send("raced");
                theirs.finish();
                report = co_await graceful_close(ours);
            });
            CHECK(report.ending == actual_ending::graceful);
            CHECK(report.received_bytes + report.discarded_bytes == 5);
            const bool taken = got.has_value();
            CHECK(report.received_bytes == (taken ? 5 : 0));
            if (!taken) CHECK(got.error() == std::errc::operation_canceled);
        }
    });
}

TEST_CASE("packets: abort_close with a receive and sends in flight ends all of them") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets(8192);
        const auto message = pattern(3000);
        std::vector<sent> outcomes(8);
        std::byte into[8];
        received got;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            for (sent& each : outcomes)
                in.spawn(send_into(ours, message, each));
            in.spawn(receive_into(ours, into, got));
            co_await sleep_for(5ms);
            report = co_await abort_close(ours);
        });
        CHECK(row(report) == "local application abort aborted unacknowledged");
        CHECK(got.error() == std::errc::operation_canceled);
        CHECK(outcomes.back().error == std::errc::operation_canceled);
        std::uint64_t arrived = 0;
        for (auto each = theirs.receive(); each.message; each = theirs.receive())
            arrived += each.message->size();
        CHECK(arrived == report.sent_bytes);
        CHECK(report.sent_bytes + report.unsent_bytes == 8 * 3000);
        CHECK(!report.reset_sent);
    });
}

TEST_CASE("packets: our abort is not taken for the peer's end by a receive in flight") {
    run([](rig& at) -> task<void> {
        for (int turns = 0; turns < 3; ++turns) {
            auto [ours, theirs] = at.connect_packets();
            std::byte into[8];
            received got;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(receive_into(ours, into, got));
                in.spawn([](packet_stream& by, int after) -> task<void> {
                    for (int turn = 0; turn < after; ++turn)
                        co_await noop();
                    const teardown_report report = co_await abort_close(by);
                    CHECK(row(report) == "local application abort aborted acknowledged");
                    CHECK(!report.peer_finished);
                }(ours, turns));
                co_return;
            });
            REQUIRE(!got.has_value());
            CHECK(got.error() == std::errc::operation_canceled);
        }
    });
}

TEST_CASE("packets: a dropped stream with messages in flight is joined, ended and reported") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets(8192);
        const auto message = pattern(3000);
        std::vector<sent> outcomes(6);
        std::byte into[8];
        received got;
        co_await with_scope([&](scope& in) -> task<void> {
            for (sent& each : outcomes)
                in.spawn(send_into(ours, message, each));
            in.spawn(receive_into(ours, into, got));
            co_await sleep_for(5ms);
            const packet_stream gone = std::move(ours);
        });
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local dropped none aborted unacknowledged");
        CHECK(outcomes.back().error == std::errc::operation_canceled);
        CHECK(got.error() == std::errc::operation_canceled);
    });
}

TEST_CASE("packets: a stream dropped under a policy to finish sends its messages and FIN") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_packets();
        CHECK(co_await ours.send(text("whole")));
        ours.on_drop(drop_action::finish, 2s);
        ours = packet_stream();
        CHECK(theirs.receive() == "whole");
        co_await noop();
        CHECK(theirs.receive().ended());
        theirs.finish();
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local dropped background graceful acknowledged");
    });
}

TEST_CASE("packets: a cancelled scope ends the streams in it, and a loop that ends all others") {
    std::optional<packet_peer> theirs;
    run([&](rig& at) -> task<void> {
        const auto handle = [](packet_stream handled) -> task<void> {
            std::byte into[8];
            const received got = co_await handled.recv(into);
            CHECK(got.error() == std::errc::operation_canceled);
        };
        auto made = at.connect_packets();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(handle(std::move(made.ours)));
            co_await noop();
            in.cancel();
        });
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local canceled none aborted acknowledged");
        CHECK(made.theirs.receive().ended());

        auto other = at.connect_packets();
        theirs.emplace(std::move(other.theirs));
        at.on.spawn(handle(std::move(other.ours)));
        co_await noop();
        at.at_end([&](const std::vector<teardown_report>& all) {
            REQUIRE(all.size() == 2);
            CHECK(row(all.back()) == "local canceled none aborted acknowledged");
            CHECK(theirs->receive().ended());
            theirs.reset();
        });
    });
}

TEST_CASE("packets: the number of a closed descriptor is taken again at once, without cross-talk") {
    run([](rig& at) -> task<void> {
        auto old = at.connect_packets();
        auto fresh = packet_pair();
        const int number = old.ours.native_handle();
        std::byte into[64];
        received got;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_into(old.ours, into, got));
            co_await noop();
            co_await abort_close(old.ours);
        });
        CHECK(got.error() == std::errc::operation_canceled);
        const int again = ::fcntl(fresh.ours, F_DUPFD_CLOEXEC, number);
        ::close(fresh.ours);
        REQUIRE(again == number);
        auto ours = adopt_packets(at.on, again);
        REQUIRE(ours.has_value());
        at.expect_report_of(*ours);
        old.theirs.send("for the old one");
        fresh.theirs.send("new");
        const received message = co_await ours->recv(into);
        REQUIRE(message.has_value());
        CHECK(message->bytes == 3);
        CHECK((co_await old.ours.send(text("stray"))).error == errc::ending);
        fresh.theirs.finish();
        const teardown_report report = co_await graceful_close(*ours);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.received_bytes == 3);
        CHECK(report.sent_bytes == 0);
    });
}
