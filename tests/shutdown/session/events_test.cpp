#include <algorithm>

#include "session_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// What a session tells of itself: each event once, in order, to whoever asks.

namespace {

task<void> take_one(session& of, std::vector<std::string>& into) {
    const auto next = co_await of.next_event();
    if (!next)
        into.push_back(next.error().message());
    else
        into.push_back(*next ? std::string(name(**next)) : "no more");
}

task<void> peer_end_into(session& of, std::vector<std::string>& into) {
    const auto how = co_await of.peer_ended();
    into.push_back(how ? std::string(name(*how)) : how.error().message());
}

} // namespace

TEST_CASE("transports: shutdown completed exactly once, and nothing after it") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        theirs.finish();
        CHECK(s.begin_shutdown());
        std::string events;
        co_await note_events(s, events);
        CHECK(events == "peer_shutdown shutdown_completed");
        for (int i = 0; i < 3; ++i) {
            const auto more = co_await s.next_event();
            REQUIRE(more.has_value());
            CHECK(!*more);
        }
        at.check_resets(0);
    });
}

TEST_CASE("session: events that nobody waited for are told afterwards, in order") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client);
        theirs.finish();
        received got;
        co_await receive_all(s, got);
        const auto done = co_await report_of(s);
        CHECK(done.peer == session_peer_end::graceful);
        std::string events;
        co_await note_events(s, events);
        CHECK(events == "peer_shutdown shutdown_completed");
        const auto how = co_await s.peer_ended();
        CHECK(*how == session_peer_end::graceful);
        const auto again = co_await report_of(s);
        CHECK(row(again) == row(done));
        at.check_resets(0);
    });
}

TEST_CASE("session: of several that wait for events each gets another one; the rest none") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client);
        std::vector<std::string> seen;
        std::vector<std::string> ends;
        std::optional<session_report> first, second;
        co_await with_scope([&](scope& in) -> task<void> {
            for (int i = 0; i < 4; ++i)
                in.spawn(take_one(s, seen));
            in.spawn(peer_end_into(s, ends));
            in.spawn(peer_end_into(s, ends));
            in.spawn(completion_into(s, first));
            in.spawn(completion_into(s, second));
            co_await sleep_for(1ms);
            theirs.finish();
            received got;
            co_await receive_all(s, got);
        });
        std::ranges::sort(seen);
        CHECK(seen == std::vector<std::string>{"no more", "no more", "peer_shutdown",
                                               "shutdown_completed"});
        CHECK(ends == std::vector<std::string>{"graceful", "graceful"});
        REQUIRE(first.has_value());
        REQUIRE(second.has_value());
        CHECK(row(*first) == row(*second));
        at.check_resets(0);
    });
}

TEST_CASE("session: a wait that is cancelled loses no event") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client);
        std::vector<std::string> seen, ends;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(take_one(s, seen));
            in.spawn(peer_end_into(s, ends));
            co_await sleep_for(1ms);
            in.cancel();
        });
        const std::string canceled_text = canceled().message();
        CHECK(seen == std::vector<std::string>{canceled_text});
        CHECK(ends == std::vector<std::string>{canceled_text});
        CHECK(s.phase() == session_phase::open);

        // Cancelled in the very turn in which the event comes: told, or left for the next.
        received got;
        theirs.finish();
        seen.clear();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(take_one(s, seen));
            co_await receive_all(s, got);
            in.cancel();
        });
        std::string rest;
        co_await note_events(s, rest);
        REQUIRE(seen.size() == 1);
        const bool told = seen[0] == "peer_shutdown";
        CHECK(rest == (told ? "shutdown_completed" : "peer_shutdown shutdown_completed"));
        const auto done = co_await s.completed();
        CHECK(done.has_value());
        at.check_resets(0);
    });
}

TEST_CASE("session: FIN and a reset behind it are two events, and peer_ended told the first") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        std::string events;
        auto owed = s.begin_request();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(note_events(s, events));
            theirs.finish();
            received got;
            co_await receive_all(s, got);
            const auto how = co_await s.peer_ended();
            CHECK(*how == session_peer_end::graceful);
            theirs.reset();
            sent outcome;
            do
                outcome = co_await owed->send(text("answer"));
            while (!outcome.error);
        });
        CHECK(events == "peer_shutdown peer_reset shutdown_completed");
        const auto done = co_await report_of(s);
        CHECK(row(done) == "peer reset 1 0 1 0");
        CHECK(done.connection.ending == actual_ending::reset);
        const auto how = co_await s.peer_ended();
        CHECK(*how == session_peer_end::reset);
        at.check_resets(0);
    });
}

TEST_CASE("session: destroyed while somebody waits: all of them are told") {
    run([](rig& at) -> task<void> {
        auto made = at.connect();
        auto s = std::make_optional<session>(std::move(made.ours), session_role::server);
        std::string events;
        std::vector<std::string> ends;
        std::optional<session_report> done;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(peer_end_into(*s, ends));
            in.spawn(completion_into(*s, done));
            in.spawn([](session& of, std::string& into) -> task<void> {
                const auto next = co_await of.next_event();
                into = next && *next ? std::string(name(**next)) : "none";
            }(*s, events));
            co_await sleep_for(1ms);
            s.reset();
        });
        CHECK(events == "shutdown_completed");
        CHECK(ends == std::vector<std::string>{"none"}); // the peer had no end of its own
        REQUIRE(done.has_value());
        CHECK(row(*done) == "dispose none 0 0 0 0");
        CHECK(row(done->connection) == "local dropped none aborted acknowledged");
        at.check_resets(1);
    });
}

TEST_CASE("session: a session that completes without an end of the peer's says so") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        CHECK(s.begin_shutdown(within(20ms)));
        std::vector<std::string> ends;
        co_await peer_end_into(s, ends);
        CHECK(ends == std::vector<std::string>{"none"});
        std::string events;
        co_await note_events(s, events);
        CHECK(events == "shutdown_completed");
        at.check_resets(1);
    });
}
