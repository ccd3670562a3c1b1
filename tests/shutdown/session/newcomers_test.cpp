#include <ringdown/shutdown/session/session_group.hpp>

#include "session_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Sessions that join a group whose shutdown has begun: their peers waited in the accept queue, and
// are served what they send first.

namespace {

// A group whose shutdown has begun, and which one session keeps from completing.
struct ending_group {
    ending_group(rig& at, std::chrono::nanoseconds time,
                 std::chrono::nanoseconds first_request_within)
        : all(at.on), first(converse(at, session_role::server)) {
        CHECK(all.add(first.ours));
        owed = std::move(*first.ours.begin_request());
        CHECK(all.begin_shutdown(within(time), first_request_within));
    }

    task<session_group_report> complete() {
        first.theirs.finish();
        owed.finish();
        co_return co_await all.join();
    }

    session_group all;
    dialogue first;
    request owed;
};

} // namespace

TEST_CASE("newcomers: the first request is answered, and then the session ends") {
    run([](rig& at) -> task<void> {
        ending_group group(at, 5s, 1h);
        auto late = converse(at, session_role::server);
        CHECK(group.all.add(late.ours));
        CHECK(late.ours.phase() == session_phase::open);
        late.theirs.write("question");
        std::byte into[8];
        const auto asked = co_await late.ours.recv(into);
        CHECK(asked == 8);
        auto owed = late.ours.begin_request();
        REQUIRE(owed.has_value());
        CHECK(late.ours.phase() == session_phase::open); // more of it may come
        CHECK((co_await owed->send(text("answer"))).bytes == 6);
        owed->finish();
        received rest;
        co_await receive_all(late.ours, rest); // the session waits for another request
        CHECK(rest.end == std::errc::operation_canceled);
        co_await our_fin_arrives(at, late.theirs);
        CHECK(late.theirs.read() == "answer");
        late.theirs.finish();
        const auto done = co_await report_of(late.ours);
        CHECK(row(done) == "local graceful 1 1 0 0");
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        const auto all = co_await group.complete();
        CHECK(all.sessions == 2);
        CHECK(all.answered == 2);
        at.check_resets(0);
    });
}

TEST_CASE("newcomers: one that asks nothing is ended in time, one in its first message later") {
    run([](rig& at) -> task<void> {
        ending_group group(at, 3s, 40ms);
        auto silent = converse(at, session_role::server);
        auto speaking = converse(at, session_role::server);
        const auto begun = at.on.now();
        CHECK(group.all.add(silent.ours));
        CHECK(group.all.add(speaking.ours));
        speaking.ours.inside_message(true);
        silent.theirs.finish(); // so that it ends when it is asked to
        const auto first = co_await report_of(silent.ours);
        CHECK(row(first) == "local graceful 0 0 0 0");
        CHECK(at.on.now() - begun >= 40ms);
        CHECK(at.on.now() - begun < 2900ms);
        CHECK(speaking.ours.phase() == session_phase::open);
        const auto second = co_await report_of(speaking.ours);
        CHECK(second.connection.cause == teardown_cause::deadline);
        CHECK(at.on.now() - begun >= 2900ms);
        const auto all = co_await group.all.join();
        CHECK(all.sessions == 3);
        at.check_resets(2); // the one with a request in progress as well
    });
}

TEST_CASE("newcomers: the group's deadline holds for those that begin to end by themselves") {
    run([](rig& at) -> task<void> {
        ending_group group(at, 60ms, 1h);
        auto late = converse(at, session_role::server);
        CHECK(group.all.add(late.ours));
        auto owed = late.ours.begin_request();
        CHECK(late.ours.begin_shutdown(within(1h))); // it was nobody's before
        const auto done = co_await report_of(late.ours);
        CHECK(row(done) == "local none 1 0 1 0");
        CHECK(done.connection.cause == teardown_cause::deadline);
        const auto all = co_await group.all.join();
        CHECK(all.sessions == 2);
        at.check_resets(2);
    });
}

TEST_CASE("newcomers: clients, and who was served already, end at once") {
    run([](rig& at) -> task<void> {
        ending_group group(at, 5s, 1h);
        auto client = converse(at, session_role::client);
        auto served = converse(at, session_role::server);
        auto owed = served.ours.begin_request();
        CHECK(group.all.add(client.ours));
        CHECK(group.all.add(served.ours));
        CHECK(client.ours.phase() == session_phase::closing);
        CHECK(served.ours.phase() == session_phase::answering);
        owed->finish();
        client.theirs.finish();
        served.theirs.finish();
        const auto all = co_await group.complete();
        CHECK(all.sessions == 3);
        at.check_resets(0);
    });
}

TEST_CASE("newcomers: they end though the group is gone, the session dropped, the peer first") {
    run([](rig& at) -> task<void> {
        auto orphan = converse(at, session_role::server);
        auto left = converse(at, session_role::server);
        {
            session_group none(at.on);
            CHECK(none.begin_shutdown(within(5s), 20ms)); // and has completed
            CHECK_FALSE(none.add(orphan.ours));
            CHECK_FALSE(none.add(left.ours));
            auto dropped = converse(at, session_role::server);
            CHECK_FALSE(none.add(dropped.ours));
        }
        left.theirs.finish();
        received got;
        co_await receive_all(left.ours, got);
        CHECK(got.end == errc::end_of_stream);
        const auto by_peer = co_await report_of(left.ours);
        CHECK(row(by_peer) == "peer graceful 0 0 0 0");
        orphan.theirs.finish();
        const auto done = co_await report_of(orphan.ours);
        CHECK(row(done) == "local graceful 0 0 0 0");
        co_await at.all_reported();
        at.check_resets(1); // of the one that was dropped
    });
}

TEST_CASE("group: join waits in spite of a cancellation, a session's too") {
    run([](rig& at) -> task<void> {
        ending_group group(at, 5s, 1h);
        std::optional<session_group_report> all;
        std::optional<session_report> one;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(
                [](session_group& of, std::optional<session_group_report>& into) -> task<void> {
                    into = co_await of.join();
                }(group.all, all));
            in.spawn([](session& of, std::optional<session_report>& into) -> task<void> {
                into = co_await of.join();
            }(group.first.ours, one));
            in.cancel();
            co_await noop();
            CHECK(!all.has_value());
            CHECK(!one.has_value());
            group.first.theirs.finish();
            group.owed.finish();
        });
        REQUIRE(all.has_value());
        CHECK(all->sessions == 1);
        REQUIRE(one.has_value());
        CHECK(row(*one) == "local graceful 1 1 0 0");
        at.check_resets(0);
    });
}
