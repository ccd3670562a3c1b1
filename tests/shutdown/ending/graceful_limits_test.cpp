#include "rig.hpp"
#include "upload.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// The limits of a graceful ending: deadline, idle time, discard cap.

TEST_CASE("graceful_close: a peer that never closes is reset at the deadline") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        const teardown_report report = co_await graceful_close(ours, {.within = 200ms});
        CHECK(row(report) == "local deadline graceful degraded acknowledged");
        CHECK(report.reset_sent);
        CHECK(!report.peer_finished);
        CHECK(report.phase == teardown_phase::fin_acknowledged);
        CHECK(!report.error);
        at.check_near(report.microseconds.total, 200ms);
        CHECK(report.microseconds.flush < report.microseconds.total);
        at.check_resets(1);
        CHECK(theirs.read() == "answer"); // nothing that was acknowledged is taken back
    });
}

TEST_CASE("graceful_close: a peer that never closes after our FIN is reset at the idle time") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const teardown_report report = co_await graceful_close(ours, {.idle = 150ms});
        CHECK(row(report) == "local idle graceful degraded acknowledged");
        CHECK(report.reset_sent);
        CHECK(report.microseconds.total >= 150ms);
        CHECK(report.microseconds.total < 25s); // and not the deadline
        at.check_resets(1);
    });
}

TEST_CASE("graceful_close: a window of zero for ever ends at the deadline, bytes unsent named") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(4 << 20);
        sent outcome;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            report = co_await graceful_close(ours, {.within = 300ms});
        });
        CHECK(row(report) == "local deadline graceful degraded unacknowledged");
        CHECK(report.phase == teardown_phase::flushing);
        CHECK(report.reset_sent);
        CHECK(report.unsent_bytes > 0);
        CHECK(report.sent_bytes + report.unsent_bytes == answer.size());
        CHECK(report.unacknowledged_bytes > 0U);
        at.check_near(report.microseconds.total, 300ms);
        CHECK(!report.microseconds.flush);
        CHECK(outcome.bytes == report.sent_bytes);
        CHECK(outcome.error);
        check_claim(report, theirs.arrived());
        at.check_resets(1);
        const auto seen = theirs.read_to_end();
        CHECK(seen.error == ECONNRESET);
        CHECK(seen.intact);
    });
}

TEST_CASE("graceful_close: a window of zero ends at the idle time too") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(4 << 20);
        sent outcome;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            report = co_await graceful_close(ours, {.idle = 200ms});
        });
        CHECK(row(report) == "local idle graceful degraded unacknowledged");
        CHECK(report.microseconds.total >= 200ms);
        CHECK(report.microseconds.total < 25s);
        check_claim(report, theirs.arrived());
        at.check_resets(1);
    });
}

TEST_CASE("graceful_close: a peer that reads byte by byte cannot stretch the deadline") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 4096});
        const auto answer = pattern(1 << 20);
        sent outcome;
        teardown_report report;
        std::uint64_t arrived = 0;
        peer_script reader(at.on, [&] {
            while (!theirs.read(512).empty())
                std::this_thread::sleep_for(10ms);
            arrived = theirs.arrived();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            report = co_await graceful_close(ours, {.within = 200ms, .idle = 5s});
        });
        co_await reader.done();
        CHECK(row(report) == "local deadline graceful degraded unacknowledged");
        at.check_near(report.microseconds.total, 200ms);
        check_claim(report, arrived);
        CHECK(report.sent_bytes + report.unsent_bytes == answer.size());
        at.check_resets(1);
    });
}

TEST_CASE("graceful_close: acknowledged bytes restart the idle time") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 32768, .their_receive_buffer = 16384});
        const auto answer = pattern(256 << 10);
        sent outcome;
        teardown_report report;
        peer_script reader(at.on, [&] {
            // About 300 ms in all, with gaps well below the idle time.
            while (!theirs.read_to_end(16384).finished)
                std::this_thread::sleep_for(15ms);
            theirs.finish();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            report = co_await graceful_close(ours, {.within = 10s, .idle = 150ms});
        });
        co_await reader.done();
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(report.microseconds.total > 150ms);
        CHECK(theirs.arrived() == answer.size());
        at.check_resets(0);
    });
}

TEST_CASE("graceful_close: received bytes restart the idle time, and are counted as discarded") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::uint64_t written = 0;
        peer_script writer(at.on, [&] {
            for (int i = 0; i < 12; ++i) {
                std::this_thread::sleep_for(20ms);
                written += theirs.write("still here");
            }
            theirs.finish();
        });
        const teardown_report report =
            co_await graceful_close(ours, {.within = 10s, .idle = 110ms});
        co_await writer.done();
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(written == 120);
        CHECK(report.discarded_bytes == 120);
        CHECK(report.microseconds.total > 220ms);
        at.check_resets(0);
    });
}

TEST_CASE("graceful_close: a peer that uploads without end is reset at the discard cap") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("go away"));
        CHECK(sent.bytes == 7);
        std::uint64_t written = 0;
        peer_script writer(at.on, [&] { written = upload_without_end(theirs); });
        const teardown_report report =
            co_await graceful_close(ours, {.discard_bytes_max = 1'000'000});
        co_await writer.done();
        CHECK(report.cause == teardown_cause::discard_limit);
        CHECK(report.ending == actual_ending::degraded);
        CHECK(report.unacknowledged_bytes == 0);
        // One byte over the cap shows that it was exceeded; what was there beside it counts too.
        CHECK(report.discarded_bytes >= 1'000'001);
        check_uploaded(at, report, theirs, written);
        CHECK(report.reset_sent);
        // A reset, to a side that had seen our FIN; unless FIN is a ring operation, which a kernel
        // thread may not have begun by then.
        const bool fin_left = report.phase >= teardown_phase::fin_sent;
        const int told = theirs.last_error();
        CHECK((told == EPIPE || (!fin_left && told == ECONNRESET)));
    });
}

TEST_CASE("graceful_close: exactly as many bytes as the cap are no offence") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write_pattern(50'000);
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours, {.discard_bytes_max = 50'000});
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.discarded_bytes == 50'000);
        at.check_resets(0);
    });
}

TEST_CASE("graceful_close: one byte more than the cap is") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write_pattern(50'001);
        const teardown_report report = co_await graceful_close(ours, {.discard_bytes_max = 50'000});
        CHECK(report.cause == teardown_cause::discard_limit);
        CHECK(report.discarded_bytes == 50'001);
        at.check_resets(1);
    });
}

TEST_CASE("graceful_close: a cap of nothing still lets a silent peer finish") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours, {.discard_bytes_max = 0});
        CHECK(report.ending == actual_ending::graceful);
        at.check_resets(0);
    });
}

TEST_CASE("graceful_close: a deadline of 0 aborts at once and says so") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const teardown_report report = co_await graceful_close(ours, {.within = 0ms});
        CHECK(report.cause == teardown_cause::deadline);
        CHECK(report.ending == actual_ending::degraded);
        CHECK(report.reset_sent);
        at.check_near(report.microseconds.total, 0ms);
        at.check_resets(1);
    });
}

TEST_CASE("graceful_close: of an absolute deadline and a time the earlier holds") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        ending_policy policy{.within = 10s, .deadline = at.on.now() + 120ms};
        const teardown_report first = co_await graceful_close(ours, policy);
        CHECK(first.cause == teardown_cause::deadline);
        at.check_near(first.microseconds.total, 119ms);

        auto [second, other] = at.connect();
        policy = {.within = 120ms, .deadline = at.on.now() + 10s};
        const teardown_report report = co_await graceful_close(second, policy);
        CHECK(report.cause == teardown_cause::deadline);
        at.check_near(report.microseconds.total, 120ms);
        at.check_resets(2);
    });
}

TEST_CASE("graceful_close: a deadline that lies in the past aborts at once") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const teardown_report report =
            co_await graceful_close(ours, {.deadline = at.on.now() - 1h});
        CHECK(report.cause == teardown_cause::deadline);
        at.check_near(report.microseconds.total, 0ms);
        at.check_resets(1);
    });
}

TEST_CASE("graceful_close: limits of for ever are none, not ones long past") {
    run([](rig& at) -> task<void> {
        constexpr auto for_ever = std::chrono::nanoseconds::max();
        auto [ours, theirs] = at.connect();
        peer_script finishing(at.on, [&] {
            CHECK(theirs.read_to_end().finished);
            std::this_thread::sleep_for(50ms);
            theirs.finish();
        });
        const teardown_report report =
            co_await graceful_close(ours, {.within = for_ever, .idle = for_ever});
        co_await finishing.done();
        CHECK(row(report) == "local application graceful graceful acknowledged");
        at.check_resets(0);
    });
}
