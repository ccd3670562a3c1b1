#include <ringdown/shutdown/ending/internal/ending.hpp>
#include <ringdown/shutdown/session/internal/session_access.hpp>

#include "session_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// What reaches a session that is ending already.

TEST_CASE("group: its deadline holds for a session that was ending already") {
    run([](rig& at) -> task<void> {
        auto pair = at.connect();
        session s(std::move(pair.ours), session_role::server);
        session_group all(at.on);
        CHECK(all.add(s));
        auto owed = s.begin_request();
        pair.theirs.finish();
        std::byte into[16];
        const auto end = co_await s.recv(into);
        CHECK(end.error() == errc::end_of_stream);
        CHECK(s.phase() == session_phase::answering);
        const auto begun = at.on.now();
        all.begin_shutdown({.limits = {.within = 100ms}});
        const auto over = co_await all.completed();
        CHECK(over.has_value());
        at.check_near(std::chrono::duration_cast<std::chrono::microseconds>(at.on.now() - begun),
                      100ms);
        CHECK(at.only_report().cause == teardown_cause::deadline);
    });
}

TEST_CASE("group: its deadline holds for a session that joins it and was ending already") {
    for (const bool by_connection : {false, true})
        run([by_connection](rig& at) -> task<void> {
            auto pair = at.connect();
            session s(std::move(pair.ours), session_role::server);
            const ending_policy patient{.within = 5s, .idle = 0s};
            if (by_connection)
                ending::begin(state_of(s),
                              {plans::graceful, teardown_cause::application, patient, {}});
            else
                CHECK(s.begin_shutdown({.limits = patient}));
            session_group all(at.on);
            pair.theirs.go_deaf();
            auto other = at.connect();
            session keeps(std::move(other.ours), session_role::server);
            auto owed = keeps.begin_request();
            CHECK(all.add(keeps));
            const auto begun = at.on.now();
            all.begin_shutdown({.limits = {.within = 100ms}});
            CHECK(all.add(s));
            const auto over = co_await all.completed();
            CHECK(over.has_value());
            at.check_near(
                std::chrono::duration_cast<std::chrono::microseconds>(at.on.now() - begun), 100ms);
        });
}

TEST_CASE("session: a reset behind the peer's FIN ends the requests in progress at once") {
    run([](rig& at) -> task<void> {
        auto pair = at.connect();
        session s(std::move(pair.ours), session_role::server);
        auto owed = s.begin_request();
        pair.theirs.finish();
        std::byte into[16];
        const auto end = co_await s.recv(into);
        CHECK(end.error() == errc::end_of_stream);
        co_await sleep_for(10ms);
        CHECK(s.phase() == session_phase::answering);
        pair.theirs.reset();
        const auto begun = at.on.now();
        const auto done = co_await s.completed();
        CHECK(at.on.now() - begun < 3s); // and not after the idle time of 5 s
        REQUIRE(done.has_value());
        CHECK(done->peer == session_peer_end::reset);
        CHECK(done->canceled == 1);
        CHECK(done->connection.ending == actual_ending::reset);
    });
}

TEST_CASE("session: a reset behind a FIN that came while answers were owed is seen at once, too") {
    run([](rig& at) -> task<void> {
        auto pair = at.connect();
        session s(std::move(pair.ours), session_role::server);
        auto owed = s.begin_request();
        CHECK(s.begin_shutdown());
        pair.theirs.finish();
        co_await sleep_for(150ms); // behind the first look for acknowledgements
        CHECK(s.phase() == session_phase::answering);
        pair.theirs.reset();
        const auto begun = at.on.now();
        const auto done = co_await s.completed();
        CHECK(at.on.now() - begun < 3s);
        REQUIRE(done.has_value());
        CHECK(done->peer == session_peer_end::reset);
        CHECK(done->canceled == 1);
        CHECK(done->connection.ending == actual_ending::reset);
    });
}

TEST_CASE("session: the peer's FIN inside a message is truncated, also when the server began") {
    run([](rig& at) -> task<void> {
        auto pair = at.connect();
        session s(std::move(pair.ours), session_role::server);
        s.inside_message(true);
        CHECK(s.begin_shutdown());
        co_await sleep_for(10ms);
        pair.theirs.close();
        const auto done = co_await s.completed();
        REQUIRE(done.has_value());
        CHECK(done->peer == session_peer_end::truncated);
        CHECK(done->connection.cause == teardown_cause::truncated);
    });
}

TEST_CASE("session: a client that never receives its answer does not call the end graceful") {
    run([](rig& at) -> task<void> {
        auto pair = at.connect();
        session s(std::move(pair.ours), session_role::client);
        auto due = s.begin_request();
        CHECK(s.begin_shutdown({.limits = {.within = 80ms}}));
        pair.theirs.write("answer");
        pair.theirs.finish();
        const auto done = co_await s.completed();
        REQUIRE(done.has_value());
        CHECK(done->peer == session_peer_end::truncated);
        CHECK(done->canceled == 1);
    });
}
