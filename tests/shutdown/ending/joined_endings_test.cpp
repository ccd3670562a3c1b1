#include "rig.hpp"

#include <ringdown/net/internal/state_of.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// Several tasks and one connection: closing twice, closing while others use it.

namespace {

task<void> close_into(stream& ended, std::optional<teardown_report>& report) {
    report = co_await graceful_close(ended);
}

} // namespace

TEST_CASE("two tasks call graceful_close: one teardown, and both are told") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        std::optional<teardown_report> first, second;
        peer_script reader(at.on, [&] {
            CHECK(theirs.read() == "answer");
            CHECK(theirs.read_to_end().finished);
            theirs.finish();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(close_into(ours, first));
            in.spawn(close_into(ours, second));
            co_return;
        });
        co_await reader.done();
        REQUIRE(first.has_value());
        REQUIRE(second.has_value());
        CHECK(first->connection == second->connection);
        CHECK(row(*first) == "local application graceful graceful acknowledged");
        CHECK(row(*second) == row(*first));
        CHECK(at.reports().size() == 1);
        at.check_resets(0);
    });
}

TEST_CASE("two tasks wait for one ending: cancelling one leaves it to the other") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::optional<teardown_report> first, second;
        peer_script reader(at.on, [&] {
            CHECK(theirs.read_to_end().finished);
            std::this_thread::sleep_for(80ms);
            theirs.finish();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(close_into(ours, second));
            co_await with_scope([&](scope& inner) -> task<void> {
                inner.spawn(close_into(ours, first));
                co_await sleep_for(10ms);
                inner.cancel();
            });
        });
        co_await reader.done();
        REQUIRE(second.has_value());
        CHECK(row(*second) == "local application graceful graceful acknowledged");
        REQUIRE(first.has_value());
        CHECK(row(*first) == row(*second));
        at.check_resets(0);
    });
}

TEST_CASE("two tasks wait for one ending: cancelling both aborts it once") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::optional<teardown_report> first, second;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(close_into(ours, first));
            in.spawn(close_into(ours, second));
            co_await sleep_for(60ms);
            in.cancel();
        });
        REQUIRE(first.has_value());
        REQUIRE(second.has_value());
        CHECK(row(*first) == "local canceled graceful degraded acknowledged");
        at.check_resets(1);
    });
}

TEST_CASE("graceful_close of a connection that has ended answers the report it had") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.finish();
        const teardown_report first = co_await graceful_close(ours);
        const teardown_report second = co_await graceful_close(ours);
        const teardown_report third = co_await abort_close(ours);
        const teardown_report fourth = co_await ended(ours);
        CHECK(first.connection == second.connection);
        CHECK(row(second) == row(first));
        CHECK(row(third) == row(first));
        CHECK(row(fourth) == row(first));
        CHECK(at.reports().size() == 1);
        at.check_resets(0);
    });
}

TEST_CASE("ended: tells of an end that somebody else brought about, and causes none itself") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        connection& watched = state_of(ours);
        std::optional<teardown_report> seen;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](ending_operation end, std::optional<teardown_report>& into) -> task<void> {
                into = co_await end;
            }(ended(ours), seen));
            co_await sleep_for(20ms);
            CHECK(!seen.has_value());
            CHECK(watched.life() == life_phase::open);
            ours = stream();
        });
        REQUIRE(seen.has_value());
        CHECK(row(*seen) == "local dropped none aborted acknowledged");
        at.check_resets(1);
    });
}

TEST_CASE("begin_ending: the first request counts, a second changes nothing") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        begin_ending(ours, {.requested = plans::graceful,
                            .cause = teardown_cause::truncated,
                            .policy = {.within = 100ms}});
        begin_ending(
            ours, {.requested = plans::abort, .cause = teardown_cause::application, .policy = {}});
        const teardown_report report = co_await graceful_close(ours, {.within = 10s});
        CHECK(row(report) == "local deadline graceful degraded acknowledged");
        at.check_near(report.microseconds.total, 100ms);
        at.check_resets(1);
    });
}

TEST_CASE("end_connection: a cause of the caller's is kept where the end was graceful") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.finish();
        const teardown_report report =
            co_await end_connection(ours, {plans::graceful, teardown_cause::truncated, {}});
        CHECK(report.cause == teardown_cause::truncated);
        CHECK(report.ending == actual_ending::graceful);
        at.check_resets(0);
    });
}

TEST_CASE("while a connection ends, nothing new starts on it and receives are cancelled") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::byte into[64];
        result<std::size_t> waiting;
        std::optional<teardown_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_into(ours, into, waiting));
            co_await sleep_for(5ms);
            in.spawn(close_into(ours, report));
            const auto sent = co_await ours.send(text("too late"));
            CHECK(sent.error == errc::ending);
            const auto last = co_await ours.send_last(text("too late"));
            CHECK(last.error == errc::ending);
            const auto got = co_await ours.recv(into);
            CHECK(got.error() == errc::ending);
            const auto leased = co_await ours.recv_lease();
            CHECK(leased.error() == errc::ending);
            const auto finished = co_await ours.shutdown_send();
            CHECK(finished.error() == errc::ending);
            const auto closed = co_await peer_closed(ours);
            CHECK(closed.error() == errc::ending);
            const auto delivery = co_await delivered(ours);
            CHECK(delivery.error() == errc::ending);
            const auto option = co_await ours.set_linger(-1s);
            CHECK(option.error() == errc::ending);
            co_await sleep_for(5ms);
            theirs.finish();
        });
        CHECK(waiting.error() == std::errc::operation_canceled);
        REQUIRE(report.has_value());
        CHECK(report->ending == actual_ending::graceful);
        CHECK(report->unsent_bytes == 0); // refused sends were never handed over
        at.check_resets(0);
    });
}

TEST_CASE("graceful_close with sends queued by other tasks: all of them, in order, then FIN") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        constexpr std::size_t count = 10, each = 200'000;
        const auto answer = pattern(count * each);
        std::vector<sent> outcomes(count);
        std::optional<teardown_report> report;
        peer_reading seen;
        peer_script reader(at.on, [&] {
            std::this_thread::sleep_for(30ms);
            seen = theirs.read_to_end();
            theirs.finish();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            for (std::size_t i = 0; i < count; ++i)
                in.spawn(send_into(ours, std::span(answer).subspan(i * each, each), outcomes[i]));
            in.spawn(close_into(ours, report));
            co_return;
        });
        co_await reader.done();
        REQUIRE(report.has_value());
        CHECK(row(*report) == "local application graceful graceful acknowledged");
        CHECK(report->sent_bytes == answer.size());
        CHECK(seen.bytes == answer.size());
        CHECK(seen.intact);
        CHECK(seen.finished);
        for (const auto& each_outcome : outcomes)
            CHECK(each_outcome.bytes == each);
        at.check_resets(0);
    });
}

TEST_CASE("a queued send that was cancelled before the close leaves a hole: no FIN covers it up") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(2 << 20);
        sent first, second;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](stream& by, std::span<const std::byte> data, sent& outcome) -> task<void> {
                co_await with_scope([&](scope& inner) -> task<void> {
                    inner.spawn(send_into(by, data, outcome));
                    co_await sleep_for(50ms);
                    inner.cancel();
                });
            }(ours, answer, first));
            in.spawn(send_into(ours, answer, second));
            report = co_await graceful_close(ours, {.within = 2s});
        });
        CHECK(first.error == std::errc::operation_canceled);
        CHECK(second.error == std::errc::operation_canceled);
        CHECK(second.bytes == 0);
        CHECK(row(report) == "local canceled graceful degraded unacknowledged");
        CHECK(report.sent_bytes == first.bytes);
        CHECK(report.sent_bytes + report.unsent_bytes == 2 * answer.size());
        check_claim(report, theirs.arrived());
        at.check_resets(1);
        CHECK(!theirs.read_to_end().finished);
    });
}
