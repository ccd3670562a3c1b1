#include <netinet/tcp.h>
#include <unistd.h>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Data of any size in both directions while a connection ends.

namespace {

// Our FIN has been acknowledged, which the peer may put off for a moment.
bool reaches_fin_wait_2(const stream& of) {
    for (int looks = 0; looks < 2000; ++looks) {
        if (tcp_state_of(of) == TCP_FIN_WAIT2) return true;
        std::this_thread::sleep_for(1ms);
    }
    return false;
}

} // namespace

TEST_CASE("16 MiB written before reading on both sides: no deadlock, every byte arrives") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto answer = pattern(16 << 20);
        sent outcome;
        teardown_report report;
        std::uint64_t uploaded = 0;
        peer_reading seen;
        peer_script writer_first(at.on, [&] {
            uploaded = theirs.write_pattern(16 << 20);
            seen = theirs.read_to_end();
            theirs.finish();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            report = co_await graceful_close(ours, {.discard_bytes_max = 32 << 20});
        });
        co_await writer_first.done();
        CHECK(uploaded == 16 << 20);
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(report.sent_bytes == answer.size());
        CHECK(report.discarded_bytes == uploaded);
        CHECK(seen.bytes == answer.size());
        CHECK(seen.intact);
        CHECK(seen.finished);
        at.check_resets(0);
    });
}

TEST_CASE("16 MiB both ways between two of ours, ended at the same time") {
    run([](rig& at) -> task<void> {
        auto raw = tcp_pair();
        stream one = at.take_over(raw.ours);
        stream other = at.take_over(::dup(raw.theirs.descriptor()));
        raw.theirs = {};
        const auto data = pattern(16 << 20);
        std::array<sent, 2> outcomes;
        std::array<teardown_report, 2> reports;
        const auto both = [](stream& by, std::span<const std::byte> bytes, sent& outcome,
                             teardown_report& report) -> task<void> {
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(send_into(by, bytes, outcome));
                report = co_await graceful_close(by, {.discard_bytes_max = 32 << 20});
            });
        };
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(both(one, data, outcomes[0], reports[0]));
            in.spawn(both(other, data, outcomes[1], reports[1]));
            co_return;
        });
        for (const auto& each : reports) {
            CHECK(each.ending == actual_ending::graceful);
            CHECK(each.sent_bytes == data.size());
            CHECK(each.discarded_bytes == data.size());
        }
        at.check_resets(0);
    });
}

TEST_CASE("refused early: the error answer arrives whole though the body is still coming") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto refusal = pattern(64'000);
        constexpr std::uint64_t body = 8 << 20;
        peer_reading seen;
        std::uint64_t uploaded = 0;
        peer_script uploading(at.on, [&] {
            uploaded = theirs.write_pattern(body);
            seen = theirs.read_to_end();
            theirs.close();
        });
        std::vector<std::byte> into(1024);
        const auto got = co_await ours.recv(into);
        REQUIRE(got.has_value());
        const auto sent = co_await ours.send_last(refusal);
        CHECK(sent.bytes == refusal.size());
        const teardown_report report = co_await graceful_close(ours);
        co_await uploading.done();
        CHECK(uploaded == body);
        CHECK(seen.bytes == refusal.size());
        CHECK(seen.intact);
        CHECK(seen.finished);
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(report.received_bytes == *got);
        CHECK(report.discarded_bytes == body - *got);
        at.check_resets(0);
    });
}

TEST_CASE("pipelined requests at close: no answer that was begun is truncated") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        theirs.write("GET 1\nGET 2\nGET 3\nGET 4\n");
        std::byte into[64];
        const auto got = co_await ours.recv(into);
        CHECK(got == 24);
        constexpr std::size_t answers = 4, each = 300'000;
        const auto all = pattern(answers * each);
        std::vector<sent> outcomes(answers);
        teardown_report report;
        peer_reading seen;
        peer_script reader(at.on, [&] {
            seen = theirs.read_to_end();
            theirs.finish();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            for (std::size_t i = 0; i < answers; ++i)
                in.spawn(send_into(ours, std::span(all).subspan(i * each, each), outcomes[i]));
            theirs.write("GET 5\n"); // comes too late and is dropped, not answered with a reset
            report = co_await graceful_close(ours);
        });
        co_await reader.done();
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(seen.bytes == all.size());
        CHECK(seen.intact);
        CHECK(seen.finished);
        CHECK(report.discarded_bytes == 6);
        at.check_resets(0);
    });
}

TEST_CASE("data, then FIN, before we read: all the data comes first, then the end of the stream") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        constexpr std::uint64_t size = 100'000;
        theirs.write_pattern(size);
        theirs.finish();
        std::vector<std::byte> into(size + 1);
        std::uint64_t received = 0;
        for (;;) {
            const auto got = co_await ours.recv(std::span(into).subspan(received));
            if (!got) {
                CHECK(got.error() == errc::end_of_stream);
                break;
            }
            received += *got;
        }
        CHECK(received == size);
        CHECK(is_pattern(std::span(into).first(size), 0));
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
        CHECK(report.received_bytes == size);
        CHECK(report.discarded_bytes == 0);
        at.check_resets(0);
    });
}

TEST_CASE("sends while we are in FIN_WAIT2: discarded and counted, and no RST") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        peer_script chatting(at.on, [&] {
            CHECK(theirs.read_to_end().finished);
            for (int i = 0; i < 5; ++i) {
                std::this_thread::sleep_for(5ms);
                CHECK(reaches_fin_wait_2(ours));
                theirs.write_pattern(10'000);
            }
            theirs.finish();
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await chatting.done();
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(report.discarded_bytes == 50'000);
        at.check_resets(0);
    });
}

TEST_CASE("sends while we are in FIN_WAIT2, past the cap: one RST, in the report and on the wire") {
    wire_capture capture(wire_capture::what::ends);
    run([&](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto port = ours.local().port();
        peer_script chatting(at.on, [&] {
            CHECK(theirs.read_to_end().finished);
            CHECK(reaches_fin_wait_2(ours));
            theirs.write_pattern(10'000);
            theirs.write("one too many");
        });
        const teardown_report report = co_await graceful_close(ours, {.discard_bytes_max = 10'000});
        co_await chatting.done();
        CHECK(row(report) == "local discard_limit graceful degraded acknowledged");
        CHECK(report.reset_sent);
        CHECK(theirs.tcp_state() == TCP_CLOSE); // it has come
        at.check_resets(1);
        if (capture.works()) CHECK(sent_by(capture.take(), port) == "fin rst");
    });
}

TEST_CASE("the six steps: requests, FIN, the rest of the answers, FIN, seen on both sides") {
    for (const std::uint64_t size : {1U, 1'000U, 100'000U, 3'000'000U}) {
        CAPTURE(size);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            const auto answer = pattern(size);
            peer_reading seen;
            peer_script client(at.on, [&] {
                theirs.write_pattern(size);
                theirs.finish();
                seen = theirs.read_to_end();
                theirs.close();
            });
            std::vector<std::byte> into(65536);
            std::uint64_t received = 0;
            for (;;) {
                const auto got = co_await ours.recv(into);
                if (!got) {
                    CHECK(got.error() == errc::end_of_stream);
                    break;
                }
                received += *got;
            }
            CHECK(received == size);
            const auto sent = co_await ours.send_last(answer);
            CHECK(sent.bytes == size);
            const teardown_report report = co_await graceful_close(ours);
            co_await client.done();
            CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
            CHECK(seen.bytes == size);
            CHECK(seen.intact);
            CHECK(seen.finished);
            at.check_resets(0);
        });
    }
}
