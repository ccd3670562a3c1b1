#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Connections that are given back to the application, which closes them itself.

namespace {

task<void> release_into(stream& of, std::chrono::nanoseconds within, left_open& into) {
    into = co_await release(of, within);
}

} // namespace

TEST_CASE("release: the last close is the application's; nothing was sent by the library") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const int number = ours.native_handle();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        CHECK(theirs.read() == "answer");
        auto left = co_await release(ours);
        CHECK(left.report.requested == requested_ending::release);
        CHECK(left.report.ending == actual_ending::released);
        CHECK(left.report.delivery == delivery_verdict::acknowledged);
        CHECK(left.report.phase == teardown_phase::open);
        CHECK(!left.report.reset_sent);
        CHECK(name(left.report.ending) == "released");
        CHECK(name(left.report.requested) == "release");
        CHECK(ledger(at.on).counters().count(actual_ending::released) == 1);
        CHECK(left.descriptor.get() == number);
        // Both directions work as before, by plain calls.
        theirs.write("question");
        char into[64];
        CHECK(::recv(number, into, sizeof into, 0) == 8);
        CHECK(::send(number, "more", 4, 0) == 4);
        CHECK(theirs.read() == "more");
        left.descriptor.reset();
        CHECK(theirs.read_to_end().finished);
        at.check_resets(0);
    });
}

TEST_CASE("release: a released descriptor can be adopted again, with a report of its own") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        auto left = co_await release(ours);
        auto again = at.take_over(left.descriptor.release());
        theirs.write("x");
        theirs.finish();
        const teardown_report report = co_await graceful_close(again);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.connection != left.report.connection);
        at.check_resets(0);
    });
}

TEST_CASE("release: joins what is in flight; sends reach the kernel, receives are cancelled") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(1 << 20);
        std::byte into[64];
        sent outcome;
        result<std::size_t> got;
        left_open left;
        peer_reading seen;
        peer_script reader(at.on, [&] { seen = theirs.read_to_end(answer.size()); });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_into(ours, into, got));
            in.spawn(send_into(ours, answer, outcome));
            in.spawn(release_into(ours, 5s, left));
            co_return;
        });
        co_await reader.done();
        CHECK(got.error() == std::errc::operation_canceled);
        CHECK(outcome.bytes == answer.size());
        CHECK(!outcome.error);
        CHECK(left.report.unsent_bytes == 0);
        CHECK(seen.bytes == answer.size());
        CHECK(seen.intact);
        CHECK(is_open(left.descriptor));
        at.check_resets(0);
    });
}

TEST_CASE("release: past its time the rest of a send is cut off and counted, and no RST leaves") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(1 << 20);
        sent outcome;
        left_open left;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            in.spawn(release_into(ours, 100ms, left));
            co_return;
        });
        CHECK(row(left.report) == "local deadline release released unacknowledged");
        CHECK(outcome.error == std::errc::operation_canceled);
        CHECK(left.report.sent_bytes == outcome.bytes);
        CHECK(left.report.sent_bytes + left.report.unsent_bytes == answer.size());
        CHECK(left.report.unsent_bytes > 0);
        check_claim(left.report, theirs.arrived());
        CHECK(is_open(left.descriptor));
        at.check_resets(0);
        left.descriptor.reset();
        CHECK(theirs.read_to_end().bytes == outcome.bytes);
    });
}

TEST_CASE("release: what recv_lease had received ahead is dropped, and counted") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write("first");
        {
            const auto got = co_await ours.recv_lease();
            CHECK(got.has_value());
        }
        theirs.write("second");
        co_await sleep_for(5ms);
        auto left = co_await release(ours);
        CHECK(left.report.received_bytes == 5);
        char into[64];
        const auto rest = ::recv(left.descriptor.get(), into, sizeof into, MSG_DONTWAIT);
        CHECK(left.report.discarded_bytes + static_cast<std::uint64_t>(std::max(rest, 0L)) == 6);
    });
}

TEST_CASE("release: abort_close beside it resets, and the descriptor is left all the same") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(1 << 20);
        sent outcome;
        left_open left;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            in.spawn(release_into(ours, 5s, left));
            co_await sleep_for(10ms);
            const teardown_report report = co_await abort_close(ours);
            CHECK(report.ending == actual_ending::aborted);
        });
        CHECK(left.report.ending == actual_ending::aborted);
        CHECK(is_open(left.descriptor));
        at.check_resets(1);
    });
}

TEST_CASE("release: a connection that the peer had reset is reported so, and handed out") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.reset();
        auto left = co_await release(ours);
        CHECK(left.report.ending == actual_ending::reset);
        CHECK(left.report.requested == requested_ending::release);
        CHECK(is_open(left.descriptor));
        at.check_resets(0);
    });
}

TEST_CASE(
    "release: after both FINs were exchanged there is nothing to release but the descriptor") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.finish();
        std::byte into[8];
        const auto end = co_await ours.recv(into);
        CHECK(end.error() == errc::end_of_stream);
        const auto finished = co_await ours.shutdown_send();
        CHECK(finished.has_value());
        co_await sleep_for(5ms);
        auto left = co_await release(ours);
        CHECK(row(left.report) == "peer peer_finished release graceful acknowledged");
        CHECK(is_open(left.descriptor));
    });
}

TEST_CASE("release: works on unix streams") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        auto left = co_await release(ours);
        CHECK(left.report.ending == actual_ending::released);
        CHECK(::send(left.descriptor.get(), "hello", 5, 0) == 5);
        CHECK(theirs.read() == "hello");
    });
}
