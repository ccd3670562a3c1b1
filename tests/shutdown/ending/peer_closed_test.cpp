#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// The peer's end as an event, without reading.

namespace {

task<void> watch_into(stream& of, std::optional<result<peer_end>>& into) {
    into = co_await peer_closed(of);
}

} // namespace

TEST_CASE("peer_closed: FIN is told while data before it is unread, and that data stays") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write_pattern(5'000);
        theirs.finish();
        const auto end = co_await peer_closed(ours);
        CHECK(end == peer_end::finished);
        std::vector<std::byte> into(10'000);
        std::uint64_t received = 0;
        for (;;) {
            const auto got = co_await ours.recv(std::span(into).subspan(received));
            if (!got) {
                CHECK(got.error() == errc::end_of_stream);
                break;
            }
            received += *got;
        }
        CHECK(received == 5'000);
        CHECK(is_pattern(std::span(into).first(received), 0));
        const auto again = co_await peer_closed(ours);
        CHECK(again == peer_end::finished);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
        CHECK(report.received_bytes == 5'000);
        at.check_resets(0);
    });
}

TEST_CASE("peer_closed: a reset is told apart from FIN") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::optional<result<peer_end>> end;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(watch_into(ours, end));
            co_await sleep_for(5ms);
            CHECK(!end.has_value());
            theirs.reset();
        });
        REQUIRE(end.has_value());
        CHECK(*end == peer_end::reset);
        const auto again = co_await peer_closed(ours);
        CHECK(again == peer_end::reset);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_reset graceful reset acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("peer_closed: a reset behind unread data is told, and the data can still be read") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write("last words");
        theirs.reset();
        const auto end = co_await peer_closed(ours);
        CHECK(end == peer_end::reset);
        std::byte into[64];
        const auto got = co_await ours.recv(into);
        CHECK(got == 10);
        const auto after = co_await ours.recv(into);
        CHECK(after.error() == std::errc::connection_reset);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::reset);
        CHECK(report.received_bytes == 10);
    });
}

TEST_CASE("peer_closed: a reset behind the peer's FIN is told as a reset") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.finish();
        theirs.reset();
        const auto end = co_await peer_closed(ours);
        CHECK(end == peer_end::reset);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::reset);
        at.check_resets(0);
    });
}

TEST_CASE("peer_closed: beside a receive both are told of the end") {
    for (const bool resets : {false, true}) {
        CAPTURE(resets);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            std::optional<result<peer_end>> end;
            std::byte into[64];
            result<std::size_t> got;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(watch_into(ours, end));
                in.spawn(receive_into(ours, into, got));
                co_await sleep_for(5ms);
                if (resets)
                    theirs.reset();
                else
                    theirs.finish();
            });
            REQUIRE(end.has_value());
            CHECK(*end == (resets ? peer_end::reset : peer_end::finished));
            if (resets)
                CHECK(got.error() == std::errc::connection_reset);
            else
                CHECK(got.error() == errc::end_of_stream);
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.initiator == teardown_initiator::peer);
        });
    }
}

TEST_CASE("peer_closed: data alone does not complete it") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::optional<result<peer_end>> end;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(watch_into(ours, end));
            theirs.write_pattern(50'000);
            co_await sleep_for(20ms);
            CHECK(!end.has_value());
            theirs.finish();
        });
        REQUIRE(end.has_value());
        CHECK(*end == peer_end::finished);
        co_await graceful_close(ours);
        at.check_resets(0);
    });
}

TEST_CASE("peer_closed: cancelled, it says so; the connection goes on") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::optional<result<peer_end>> end;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(watch_into(ours, end));
            co_await sleep_for(5ms);
            in.cancel();
        });
        REQUIRE(end.has_value());
        CHECK(end->error() == std::errc::operation_canceled);
        theirs.write("still here");
        std::byte into[64];
        const auto got = co_await ours.recv(into);
        CHECK(got == 10);
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
    });
}

TEST_CASE("peer_closed: with a deadline, a silent peer is told as such") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto end =
            co_await with_deadline(at.on.now() + 50ms, [](stream& of) -> task<result<peer_end>> {
                co_return co_await peer_closed(of);
            }(ours));
        CHECK(end.error() == errc::deadline_passed);
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
    });
}

TEST_CASE("peer_closed: in flight when the connection is ended, it is cancelled and joined") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::optional<result<peer_end>> end;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(watch_into(ours, end));
            co_await sleep_for(5ms);
            const teardown_report report = co_await abort_close(ours);
            CHECK(report.ending == actual_ending::aborted);
        });
        REQUIRE(end.has_value());
        CHECK(!end->has_value());
        at.check_resets(1);
    });
}

TEST_CASE("peer_closed: a network that gave up is neither FIN nor reset") {
    run([](rig& at) -> task<void> {
        const network_in_haste sooner;
        auto [ours, theirs] = at.connect({.user_timeout_ms = 60});
        theirs.go_deaf();
        const auto sent = co_await ours.send(text("into the void"));
        CHECK(sent.bytes == 13);
        const auto end = co_await peer_closed(ours);
        CHECK(end.error() == std::errc::timed_out);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "kernel network_timeout graceful lost unacknowledged");
    });
}

TEST_CASE("peer_closed: works on unix streams") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        theirs.write("hello");
        theirs.finish();
        const auto end = co_await peer_closed(ours);
        CHECK(end == peer_end::finished);
        std::byte into[64];
        const auto got = co_await ours.recv(into);
        CHECK(got == 5);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
    });
}
