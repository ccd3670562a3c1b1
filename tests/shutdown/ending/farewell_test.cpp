#include "session_rig.hpp"

#include <stdexcept>

using namespace ringdown;
using namespace ringdown::testing;

// What a protocol says last, whoever begins the ending, and what the peer is expected to say.

namespace {

std::string all_of(peer& theirs) {
    std::string whole;
    for (std::string part = theirs.read(); !part.empty(); part = theirs.read())
        whole += part;
    return whole;
}

task<void> say(stream& peer, std::string_view words) {
    const auto said = co_await peer.send(text(words));
    CHECK(!said.error);
}

task<void> never_ends(stream& peer) {
    for (;;) {
        const auto said = co_await peer.send(text("and another thing "));
        if (said.error) co_return;
    }
}

} // namespace

TEST_CASE("farewell: bytes go behind everything that was handed over, and ahead of FIN") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        ours.on_farewell(text("goodbye"));
        const auto sent = co_await ours.send(text("data "));
        CHECK(!sent.error);
        peer_script reading(at.on, [&] {
            CHECK(all_of(theirs) == "data goodbye");
            theirs.finish();
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await reading.done();
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(report.sent_bytes == 12);
        at.check_resets(0);
    });
}

TEST_CASE("farewell: a task sends although the connection is ending, and nobody else can") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        ours.on_farewell(text("first "));
        ours.on_farewell([](stream& peer) -> task<void> {
            co_await say(peer, "second ");
            co_await sleep_for(2ms);
            co_await say(peer, "third");
        }(ours));
        peer_script reading(at.on, [&] {
            CHECK(all_of(theirs) == "first second third");
            theirs.finish();
        });
        auto closing = graceful_close(ours);
        const teardown_report report = co_await closing;
        co_await reading.done();
        CHECK(row(report) == "local application graceful graceful acknowledged");
        const auto late = co_await ours.send(text("late"));
        CHECK(late.error == errc::ending);
        at.check_resets(0);
    });
}

TEST_CASE("farewell: a dropped stream that finishes says it") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        ours.on_farewell(text("goodbye"));
        ours.on_drop(drop_action::finish, 5s);
        peer_script reading(at.on, [&] {
            CHECK(all_of(theirs) == "goodbye");
            theirs.finish();
        });
        ours = stream();
        co_await reading.done();
        co_await at.all_reported();
        CHECK(row(at.reports().back()) == "local dropped background graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("farewell: what the library begins when the peer ends says it") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        ours.on_farewell(text("goodbye"));
        when_peer_ends(ours, {.does = peer_end_policy::action::finish});
        peer_script ending(at.on, [&] {
            theirs.finish();
            CHECK(all_of(theirs) == "goodbye");
        });
        co_await ending.done();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("farewell: a session says it behind its last answer") {
    run([](rig& at) -> task<void> {
        auto [adopted, theirs] = at.connect();
        adopted.on_farewell(text("goodbye"));
        session ours(std::move(adopted), session_role::server);
        auto owed = ours.begin_request();
        REQUIRE(owed.has_value());
        ours.begin_shutdown(within(8s));
        co_await sleep_for(2ms);
        const auto answered = co_await owed->send(text("answer "));
        CHECK(!answered.error);
        owed->finish();
        peer_script reading(at.on, [&] {
            CHECK(all_of(theirs) == "answer goodbye");
            theirs.finish();
        });
        const session_report done = co_await ours.join();
        co_await reading.done();
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("farewell: an abort says none") {
    run([](rig& at) -> task<void> {
        auto [aborted, of_aborted] = at.connect();
        bool said = false;
        aborted.on_farewell(text("goodbye"));
        aborted.on_farewell([](bool& begun) -> task<void> {
            begun = true;
            co_return;
        }(said));
        const teardown_report first = co_await abort_close(aborted);
        CHECK(row(first) == "local application abort aborted acknowledged");
        CHECK(of_aborted.read_to_end().error == ECONNRESET);
        CHECK(!said);
        at.check_resets(1);
    });
}

TEST_CASE("farewell: none is said behind a send that was cut short") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 4096, .their_receive_buffer = 4096});
        ours.on_farewell(text("goodbye"));
        const std::vector<std::byte> large(8 << 20);
        const sent cut = co_await with_deadline(at.on.now() + 20ms, ours.send(large));
        CHECK(cut.error == std::errc::operation_canceled);
        REQUIRE(cut.bytes > 0);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.cause == teardown_cause::canceled);
        CHECK(report.ending == actual_ending::degraded);
        CHECK(report.sent_bytes == cut.bytes);
        at.check_resets(1);
    });
}

TEST_CASE(
    "farewell: an ending begun while the loop does not run resets instead of a FIN without it") {
    std::vector<teardown_report> reports;
    raw_pair pair = tcp_pair();
    loop on;
    ledger(on).on_report([&](const teardown_report& each) { reports.push_back(each); });
    {
        auto ours = adopt(on, pair.ours);
        REQUIRE(ours);
        ours->on_drop(drop_action::finish, 5s);
        ours->on_farewell([]() -> task<void> { co_return; }());
    }
    on.run([]() -> task<void> { co_await sleep_for(1ms); }());
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].ending == actual_ending::degraded);
    CHECK(reports[0].cause == teardown_cause::error);
    CHECK(pair.theirs.read_to_end().error == ECONNRESET);
}

TEST_CASE("farewell: released connections and FINs of the application's own go without") {
    run([](rig& at) -> task<void> {
        auto [released, of_released] = at.connect();
        released.on_farewell(text("goodbye"));
        left_open left = co_await release(released, 1s);
        REQUIRE(left.descriptor);
        left.descriptor.reset();
        CHECK(all_of(of_released) == "");

        auto [finished, of_finished] = at.connect();
        finished.on_farewell(text("goodbye"));
        const auto told = co_await finished.send_last(text("data"));
        CHECK(!told.error);
        of_finished.finish();
        const teardown_report report = co_await graceful_close(finished);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(all_of(of_finished) == "data");
    });
}

TEST_CASE("farewell: the deadline of the ending covers it, and cancels the task") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 4096, .their_receive_buffer = 4096});
        ours.on_farewell(never_ends(ours));
        const teardown_report report = co_await graceful_close(ours, {.within = 50ms});
        CHECK(report.cause == teardown_cause::deadline);
        CHECK(report.ending == actual_ending::degraded);
        CHECK(report.phase == teardown_phase::open); // no FIN behind what was cut
        at.check_resets(1);
    });
}

TEST_CASE("farewell: an exception makes the ending an abort, and the run throws it") {
    std::optional<teardown_report> seen;
    CHECK_THROWS_AS(run([&](rig& at) -> task<void> {
                        auto [ours, theirs] = at.connect();
                        ours.on_farewell([]() -> task<void> {
                            co_await noop();
                            throw std::runtime_error("no words");
                        }());
                        auto closing = graceful_close(ours);
                        seen = co_await closing;
                    }),
                    std::runtime_error);
    REQUIRE(seen);
    CHECK(seen->cause == teardown_cause::error);
    CHECK(seen->ending == actual_ending::degraded);
}

TEST_CASE("goodbye: FIN before the peer has said its own is a truncated end") {
    run([](rig& at) -> task<void> {
        for (const bool said : {false, true}) {
            auto [ours, theirs] = at.connect();
            ours.expect_goodbye();
            theirs.write("data");
            theirs.finish();
            std::byte into[8];
            const auto got = co_await ours.recv(into);
            CHECK(got == 4u);
            if (said) ours.expect_goodbye(false);
            const auto end = co_await ours.recv(into);
            CHECK(end.error() == errc::end_of_stream);
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.cause ==
                  (said ? teardown_cause::peer_finished : teardown_cause::truncated));
            CHECK(report.ending == actual_ending::graceful);
        }
        at.check_resets(0);
    });
}
