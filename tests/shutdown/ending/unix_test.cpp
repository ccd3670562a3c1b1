#include <unistd.h>

#include "rig.hpp"
#include "upload.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Unix stream sockets end as TCP does, with what their kernel can tell.

TEST_CASE("unix: we finish first") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
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
        CHECK(report.unacknowledged_bytes == 0);
    });
}

TEST_CASE("unix: the peer finished first") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        theirs.write_pattern(1'000);
        theirs.finish();
        std::vector<std::byte> into(400);
        const auto got = co_await ours.recv(into);
        CHECK(got == 400);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.delivery == delivery_verdict::acknowledged);
        CHECK(report.received_bytes == 400);
        CHECK(report.discarded_bytes == 600);
        CHECK(report.peer.family() == AF_UNIX);
    });
}

TEST_CASE("unix: both at once") {
    run([](rig& at) -> task<void> {
        auto raw = unix_pair();
        stream one = at.take_over(raw.ours);
        stream other = at.take_over(::dup(raw.theirs.descriptor()));
        raw.theirs.close();
        const auto closing = [](stream& ended) -> task<teardown_report> {
            co_return co_await graceful_close(ended);
        };
        const auto [first, second] = co_await when_all(closing(one), closing(other));
        CHECK(first.ending == actual_ending::graceful);
        CHECK(second.ending == actual_ending::graceful);
    });
}

TEST_CASE("unix: a peer that never reads ends at the deadline, unacknowledged, bytes unknown") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        const auto answer = pattern(4 << 20);
        sent outcome;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            report = co_await graceful_close(ours, {.within = 200ms});
        });
        CHECK(row(report) == "local deadline graceful degraded unacknowledged");
        CHECK(!report.unacknowledged_bytes.has_value());
        CHECK(report.unsent_bytes > 0);
        CHECK(report.sent_bytes + report.unsent_bytes == answer.size());
        at.check_near(report.microseconds.total, 200ms);
        CHECK(theirs.read_to_end().bytes == report.sent_bytes);
    });
}

TEST_CASE("unix: a peer that never finishes ends at the idle time") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        const teardown_report report = co_await graceful_close(ours, {.idle = 150ms});
        CHECK(row(report) == "local idle graceful degraded acknowledged");
        CHECK(!report.reset_sent);
        CHECK(report.microseconds.total >= 150ms);
        CHECK(report.microseconds.total < 30s);
    });
}

TEST_CASE("unix: bytes that the peer reads slowly restart the idle time") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        std::vector<sent> outcomes(8);
        const auto answer = pattern(8 * 40'000);
        teardown_report report;
        peer_script reader(at.on, [&] {
            while (!theirs.read_to_end(40'000).finished)
                std::this_thread::sleep_for(30ms);
            theirs.finish();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            for (std::size_t i = 0; i < 8; ++i)
                in.spawn(
                    send_into(ours, std::span(answer).subspan(i * 40'000, 40'000), outcomes[i]));
            report = co_await graceful_close(ours, {.within = 5s, .idle = 120ms});
        });
        co_await reader.done();
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(report.microseconds.total > 120ms);
    });
}

TEST_CASE("unix: a peer that closed with our bytes unread resets") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        const auto sent = co_await ours.send(text("never read"));
        CHECK(sent.bytes == 10);
        theirs.close();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::reset);
        CHECK(report.cause == teardown_cause::peer_reset);
        CHECK(report.delivery == delivery_verdict::unacknowledged);
        CHECK(!report.unacknowledged_bytes.has_value());
        CHECK(report.reset_received);
    });
}

TEST_CASE("unix: a peer that closed while we wait for it to read is no delivery") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        const auto sent = co_await ours.send(text("never read"));
        CHECK(sent.bytes == 10);
        peer_script closing(at.on, [&] {
            std::this_thread::sleep_for(50ms);
            theirs.close();
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await closing.done();
        CHECK(report.ending == actual_ending::reset);
        CHECK(report.delivery == delivery_verdict::unacknowledged);
    });
}

TEST_CASE("unix: abort_close ends it, knows no RST, and counts what was not read") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        const teardown_report report = co_await abort_close(ours);
        CHECK(row(report) == "local application abort aborted unacknowledged");
        CHECK(!report.reset_sent);
        CHECK(!report.unacknowledged_bytes.has_value());
    });
}

TEST_CASE("unix: abort_close with a send and a receive in flight ends both") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        const auto answer = pattern(4 << 20);
        sent outcome;
        std::byte into[64];
        result<std::size_t> got;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            in.spawn(receive_into(ours, into, got));
            co_await sleep_for(20ms);
            report = co_await abort_close(ours);
        });
        CHECK(outcome.error == std::errc::operation_canceled);
        CHECK(outcome.bytes == report.sent_bytes);
        CHECK(got.error() == std::errc::operation_canceled);
        CHECK(report.ending == actual_ending::aborted);
        CHECK(theirs.read_to_end().bytes == report.sent_bytes);
    });
}

TEST_CASE("unix: a wait is over when the peer has read everything") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        peer_script reader(at.on, [&] {
            std::this_thread::sleep_for(40ms);
            CHECK(theirs.read() == "answer");
        });
        const auto report = co_await close(ours, lingering::wait(3s));
        co_await reader.done();
        REQUIRE(report.has_value());
        CHECK(row(*report) == "local application wait delivered acknowledged");
        CHECK(report->microseconds.total >= 30ms);
        CHECK(theirs.read_to_end().finished);
    });
}

TEST_CASE("unix: the discard cap holds") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        std::uint64_t written = 0;
        peer_script writer(at.on, [&] { written = upload_without_end(theirs); });
        const teardown_report report =
            co_await graceful_close(ours, {.discard_bytes_max = 1'000'000});
        co_await writer.done();
        CHECK(row(report) == "local discard_limit graceful degraded acknowledged");
        CHECK(report.discarded_bytes >= 1'000'001);
        CHECK(report.discarded_bytes == written); // what was there beside them counts too
    });
}

TEST_CASE("unix: a dropped stream is ended and reported") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        ours = stream();
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local dropped none aborted acknowledged");
    });
}
