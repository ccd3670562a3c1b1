#include <netinet/in.h>
#include <netinet/tcp.h>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// The rows of the report's table that are not told elsewhere, and the names of its values.

namespace {

bool connection_is_gone(const stream& of) {
    tcp_info info{};
    socklen_t bytes = sizeof info;
    ::getsockopt(of.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &bytes);
    constexpr int time_wait = 6, closed = 7;
    return info.tcpi_state == closed || info.tcpi_state == time_wait;
}

template <class Enum>
std::string names(int count) {
    std::string all;
    for (int i = 0; i < count; ++i)
        all.append(i ? " " : "").append(name(static_cast<Enum>(i)));
    return all;
}

} // namespace

TEST_CASE("a report's values are written by the names of the guide") {
    CHECK(names<teardown_initiator>(4) == "local peer both kernel");
    CHECK(names<teardown_cause>(12) ==
          "application peer_finished drain dropped canceled peer_reset deadline idle "
          "discard_limit truncated network_timeout error");
    CHECK(names<requested_ending>(5) == "graceful abort background wait none");
    CHECK(names<actual_ending>(7) == "graceful delivered degraded aborted reset lost closed");
    CHECK(names<delivery_verdict>(3) == "acknowledged unacknowledged unknown");
    CHECK(names<teardown_phase>(5) == "open flushing fin_sent fin_acknowledged finished");
}

TEST_CASE("peer reset, all was acknowledged, no FIN of ours: acknowledged") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        CHECK(theirs.read() == "answer");
        const auto delivery = co_await delivered(ours);
        CHECK(delivery.has_value());
        theirs.reset();
        const teardown_report report = co_await abort_close(ours);
        CHECK(row(report) == "peer peer_reset abort reset acknowledged");
        CHECK(!report.reset_sent);
        at.check_resets(0);
    });
}

TEST_CASE("reset after our FIN was acknowledged, seen only by an abort: acknowledged") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto finished = co_await ours.shutdown_send();
        CHECK(finished.has_value());
        CHECK(theirs.read_to_end().finished);
        co_await sleep_for(60ms); // FIN's acknowledgement may be delayed
        theirs.reset();
        const teardown_report report = co_await abort_close(ours);
        CHECK(row(report) == "local peer_reset abort reset acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("abort asked, both FINs acknowledged already, ours first: graceful, no RST") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto finished = co_await ours.shutdown_send();
        CHECK(finished.has_value());
        CHECK(theirs.read_to_end().finished);
        theirs.finish();
        std::byte into[8];
        const auto end = co_await ours.recv(into);
        CHECK(end.error() == errc::end_of_stream);
        const bool gone = co_await eventually(at, [&] { return connection_is_gone(ours); });
        CHECK(gone);
        const teardown_report report = co_await abort_close(ours);
        CHECK(row(report) == "local application abort graceful acknowledged");
        CHECK(!report.reset_sent);
        CHECK(report.phase == teardown_phase::finished);
        at.check_resets(0);
    });
}

TEST_CASE("abort asked, both FINs acknowledged already, the peer's first: graceful, no RST") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.finish();
        std::byte into[8];
        const auto end = co_await ours.recv(into);
        CHECK(end.error() == errc::end_of_stream);
        const auto finished = co_await ours.shutdown_send();
        CHECK(finished.has_value());
        CHECK(theirs.read_to_end().finished);
        const bool gone = co_await eventually(at, [&] { return connection_is_gone(ours); });
        CHECK(gone);
        const teardown_report report = co_await abort_close(ours);
        CHECK(row(report) == "peer application abort graceful acknowledged");
        CHECK(!report.reset_sent);
        at.check_resets(0);
    });
}

TEST_CASE("both FINs acknowledged, the peer's not read by anyone: an abort still says graceful") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto finished = co_await ours.shutdown_send();
        CHECK(finished.has_value());
        CHECK(theirs.read_to_end().finished);
        theirs.finish();
        const bool gone = co_await eventually(at, [&] { return connection_is_gone(ours); });
        CHECK(gone);
        const teardown_report report = co_await abort_close(ours);
        CHECK(row(report) == "local application abort graceful acknowledged");
        CHECK(report.peer_finished);
        CHECK(report.microseconds.peer_finished.has_value());
        at.check_resets(0);
    });
}

TEST_CASE("abort asked after the peer's FIN: aborted by us, at the application's wish") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.finish();
        std::byte into[8];
        const auto end = co_await ours.recv(into);
        CHECK(end.error() == errc::end_of_stream);
        const teardown_report report = co_await abort_close(ours);
        CHECK(row(report) == "local application abort aborted acknowledged");
        CHECK(report.reset_sent);
        CHECK(report.peer_finished);
        CHECK(report.microseconds.peer_finished == 0us);
        at.check_resets(1);
    });
}

TEST_CASE("abort asked after the peer's FIN, with bytes that it never acknowledged") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.finish();
        std::byte into[8];
        const auto end = co_await ours.recv(into);
        CHECK(end.error() == errc::end_of_stream);
        theirs.go_deaf();
        const auto sent = co_await ours.send(text("lost"));
        CHECK(sent.bytes == 4);
        const teardown_report report = co_await abort_close(ours);
        CHECK(row(report) == "local application abort aborted unacknowledged");
        CHECK(report.unacknowledged_bytes == 4);
        CHECK(report.sent_bytes == 4);
        at.check_resets(1);
    });
}

TEST_CASE("wait, all acknowledged, no FIN from the peer: delivered") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        CHECK(theirs.read() == "answer");
        const auto report = co_await close(ours, lingering::wait(2s));
        REQUIRE(report.has_value());
        CHECK(row(*report) == "local application wait delivered acknowledged");
        CHECK(report->phase == teardown_phase::fin_acknowledged);
        CHECK(!report->peer_finished);
        CHECK(!report->reset_sent);
        at.check_resets(0);
    });
}

TEST_CASE("counts: received, discarded and sent bytes are exact, and none counts in another") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write_pattern(10'000);
        std::vector<std::byte> into(4'000);
        std::uint64_t received = 0;
        while (received < into.size()) {
            const auto got = co_await ours.recv(std::span(into).subspan(received));
            REQUIRE(got.has_value());
            received += *got;
        }
        CHECK(is_pattern(into, 0));
        const auto answer = pattern(3'000);
        const auto sent = co_await ours.send(answer);
        CHECK(sent.bytes == 3'000);
        peer_script reader(at.on, [&] {
            CHECK(theirs.read_to_end().bytes == 3'000);
            theirs.write_pattern(2'345);
            theirs.finish();
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await reader.done();
        CHECK(report.received_bytes == 4'000);
        CHECK(report.discarded_bytes == 8'345);
        CHECK(report.sent_bytes == 3'000);
        CHECK(report.ending == actual_ending::graceful);
        at.check_resets(0);
    });
}

TEST_CASE("counts: bytes leased and bytes left in the loop's buffers are told apart") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write_pattern(40'000);
        std::uint64_t received = 0;
        {
            const auto first = co_await ours.recv_lease();
            REQUIRE(first.has_value());
            received = first->size();
            CHECK(is_pattern(first->data(), 0));
        }
        co_await sleep_for(5ms);
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.received_bytes == received);
        CHECK(report.discarded_bytes == 40'000 - received);
        at.check_resets(0);
    });
}

TEST_CASE("times: each phase is timed from the request, and includes the flush") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(1 << 20);
        sent outcome;
        teardown_report report;
        peer_script reader(at.on, [&] {
            std::this_thread::sleep_for(100ms);
            CHECK(theirs.read_to_end().finished);
            std::this_thread::sleep_for(100ms);
            theirs.finish();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            report = co_await graceful_close(ours);
        });
        co_await reader.done();
        CHECK(report.ending == actual_ending::graceful);
        const auto& times = report.microseconds;
        CHECK(times.flush >= 90ms);
        CHECK(times.fin_acknowledged >= *times.flush);
        CHECK(*times.fin_acknowledged < *times.peer_finished);
        CHECK(times.peer_finished >= 190ms);
        CHECK(times.total >= *times.peer_finished);
        CHECK(times.total < *times.peer_finished + 30s);
        at.check_resets(0);
    });
}
