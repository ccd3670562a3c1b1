#include <ringdown/shutdown/ending/peer_end_policy.hpp>

#include "session_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// A session hears of the peer's end although the application does not receive.

namespace {

task<void> peer_end_into(session& of, std::optional<session_peer_end>& into) {
    const auto how = co_await of.peer_ended();
    if (how) into = *how;
}

} // namespace

TEST_CASE("watch_peer: a FIN is told though nobody receives, once, and answers owed are given") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        auto owed = s.begin_request();
        std::string events;
        std::optional<session_peer_end> end;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(s.watch_peer());
            in.spawn(note_events(s, events));
            in.spawn(peer_end_into(s, end));
            co_await sleep_for(2ms);
            CHECK(events.empty());
            theirs.finish();
            const bool told = co_await eventually(at, [&] { return !events.empty(); });
            CHECK(told);
            CHECK(end == session_peer_end::graceful);
            CHECK(s.phase() == session_phase::answering);
            CHECK(s.begin_request().error() == errc::ending);
            CHECK((co_await owed->send(text("answer"))).bytes == 6);
            owed->finish();
        });
        CHECK(events == "peer_shutdown shutdown_completed");
        CHECK(theirs.read() == "answer");
        const auto done = co_await report_of(s);
        CHECK(row(done) == "peer graceful 1 1 0 1");
        CHECK(row(done.connection) == "peer peer_finished graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("watch_peer: a reset is told at once, behind a full receive queue that nobody reads") {
    for (const auto role : {session_role::server, session_role::client}) {
        run([&](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, role);
            auto owed = s.begin_request();
            std::string events;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(s.watch_peer());
                in.spawn(note_events(s, events));
                theirs.write_what_fits(256 << 20);
                co_await sleep_for(2ms);
                CHECK(events.empty());
                theirs.reset();
            });
            CHECK(events == "peer_reset shutdown_completed");
            const auto done = co_await report_of(s);
            CHECK(row(done) == "peer reset 1 0 1 0");
            CHECK(done.connection.received_bytes == 0);
            at.check_resets(0);
        });
    }
}

TEST_CASE("watch_peer: a reset behind a FIN is told at once, though data before it is unread") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        auto owed = s.begin_request();
        std::string events;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(s.watch_peer());
            in.spawn(note_events(s, events));
            theirs.write("question");
            theirs.finish();
            co_await sleep_for(20ms);
            CHECK(events.empty());
            theirs.reset();
            const bool told = co_await eventually(at, [&] { return !events.empty(); });
            CHECK(told);
        });
        CHECK(events == "peer_reset shutdown_completed");
        const auto done = co_await report_of(s);
        CHECK(done.peer == session_peer_end::reset);
        CHECK(done.canceled == 1);
        at.check_resets(0);
    });
}

TEST_CASE("watch_peer: a FIN behind data is told when that was received, without another receive") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        theirs.write("question");
        theirs.finish();
        std::string events;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(s.watch_peer());
            in.spawn(note_events(s, events));
            co_await sleep_for(10ms);
            CHECK(events.empty());
            std::byte into[8];
            const auto asked = co_await s.recv(into);
            CHECK(asked == 8);
        });
        CHECK(events == "peer_shutdown shutdown_completed");
        const auto done = co_await report_of(s);
        CHECK(row(done) == "peer graceful 0 0 0 0");
        CHECK(done.connection.received_bytes == 8);
        CHECK(done.connection.discarded_bytes == 0);
        at.check_resets(0);
    });
}

TEST_CASE("watch_peer: a FIN with answers due is truncated, told once beside a receive as well") {
    for (const bool receives : {false, true}) {
        CAPTURE(receives);
        run([&](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, session_role::client);
            auto due = s.begin_request();
            std::string events;
            received got;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(s.watch_peer());
                in.spawn(note_events(s, events));
                if (receives) in.spawn(receive_all(s, got));
                co_await sleep_for(2ms);
                theirs.finish();
            });
            CHECK(events == "peer_truncated shutdown_completed");
            const auto done = co_await report_of(s);
            CHECK(row(done) == "peer truncated 1 0 1 0");
            CHECK(done.connection.cause == teardown_cause::truncated);
            at.check_resets(0);
        });
    }
}

TEST_CASE("watch_peer: it ends with its session, and when it is cancelled; then nothing is told") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(s.watch_peer());
            co_await sleep_for(1ms);
            in.cancel();
        });
        theirs.finish();
        co_await sleep_for(5ms);
        CHECK(s.phase() == session_phase::open);
        auto other = converse(at, session_role::server);
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(other.ours.watch_peer());
            co_await sleep_for(1ms);
            CHECK(other.ours.begin_shutdown());
            other.theirs.finish();
        });
        const auto done = co_await report_of(other.ours);
        CHECK(row(done) == "local graceful 0 0 0 0");
        CHECK(s.begin_shutdown());
        co_await report_of(s);
        at.check_resets(0);
    });
}

TEST_CASE("session: a policy for the peer's end that its stream had does not act in its place") {
    run([](rig& at) -> task<void> {
        auto made = at.connect();
        when_peer_ends(made.ours, {.does = peer_end_policy::action::finish, .ending = {}});
        co_await sleep_for(1ms);
        session s(std::move(made.ours), session_role::client);
        auto due = s.begin_request();
        made.theirs.write("half an ans");
        made.theirs.finish();
        co_await sleep_for(10ms);
        CHECK(s.phase() == session_phase::open); // nobody has received anything
        received got;
        co_await receive_all(s, got);
        CHECK(got.text == "half an ans");
        const auto done = co_await report_of(s);
        CHECK(row(done) == "peer truncated 1 0 1 0");
        CHECK(done.connection.cause == teardown_cause::truncated);
        CHECK(done.connection.discarded_bytes == 0);
        at.check_resets(0);
    });
}
