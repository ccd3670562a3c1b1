#include "session_rig.hpp"

#include <ringdown/shutdown/session/internal/session_access.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// A group ends many sessions and knows when the last has ended.

namespace {

task<void> group_into(session_group& of, std::vector<session_group_report>& into) {
    const auto done = co_await of.completed();
    if (done) into.push_back(*done);
}

} // namespace

TEST_CASE("transports: a manager of none completes as soon as it is told to end, not before") {
    run([](rig& at) -> task<void> {
        session_group all(at.on);
        std::vector<session_group_report> done;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(group_into(all, done));
            co_await sleep_for(5ms);
            CHECK(done.empty());
            CHECK(all.begin_shutdown());
            CHECK_FALSE(all.begin_shutdown());
        });
        REQUIRE(done.size() == 1);
        CHECK(done[0].sessions == 0);
        CHECK(done[0].connections.reports == 0);
        const auto again = co_await all.completed();
        CHECK(again.has_value());
    });
}

TEST_CASE("transports: a manager of one, completed exactly once for each who waits") {
    run([](rig& at) -> task<void> {
        session_group all(at.on);
        auto [s, theirs] = converse(at, session_role::server);
        CHECK(all.add(s));
        CHECK(all.size() == 1);
        auto owed = s.begin_request();
        std::vector<session_group_report> done;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(group_into(all, done));
            in.spawn(group_into(all, done));
            CHECK(all.begin_shutdown());
            CHECK_FALSE(s.begin_shutdown()); // the group was first
            theirs.finish();
            co_await sleep_for(10ms);
            CHECK(done.empty());
            owed->finish();
        });
        CHECK(done.size() == 2);
        CHECK(all.size() == 0);
        CHECK(done[0].sessions == 1);
        CHECK(done[0].requests == 1);
        CHECK(done[0].answered == 1);
        at.check_resets(0);
    });
}

TEST_CASE("transports: a manager completes when the last has, also when some end at once, before, "
          "or fail") {
    run([](rig& at) -> task<void> {
        session_group all(at.on);
        std::vector<dialogue> talks;
        for (int i = 0; i < 8; ++i) {
            talks.push_back(converse(at, i == 7 ? session_role::client : session_role::server));
            CHECK(all.add(talks.back().ours));
        }
        auto idle = talks[0].ours.begin_request(); // the last to go
        auto lost = talks[1].ours.begin_request();
        // 2 completed before; 3 is ending; 4 was disposed of; 5 is reset; 6 is idle; 7 truncated.
        talks[2].theirs.finish();
        CHECK(talks[2].ours.begin_shutdown());
        co_await report_of(talks[2].ours);
        CHECK(all.size() == 7);
        CHECK(all.report().sessions == 1);
        CHECK(talks[3].ours.begin_shutdown());
        {
            const session gone = std::move(talks[4].ours);
        }
        talks[5].theirs.reset();
        talks[6].theirs.finish();
        auto due = talks[7].ours.begin_request();
        talks[7].theirs.finish();
        received got;
        co_await receive_all(talks[7].ours, got);
        due = request();

        std::vector<session_group_report> done;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(group_into(all, done));
            CHECK(all.begin_shutdown());
            talks[3].theirs.finish();
            talks[1].theirs.reset();
            co_await report_of(talks[1].ours);
            co_await report_of(talks[3].ours);
            co_await report_of(talks[5].ours);
            co_await report_of(talks[6].ours);
            co_await sleep_for(10ms);
            CHECK(done.empty());
            CHECK(all.size() == 1);
            talks[0].theirs.finish();
            idle->finish();
        });
        REQUIRE(done.size() == 1);
        CHECK(done[0].sessions == 8);
        CHECK(done[0].requests == 3);
        CHECK(done[0].answered == 1);
        CHECK(done[0].canceled == 2);
        CHECK(done[0].truncated == 1);
        CHECK(done[0].reset == 2);
        CHECK(done[0].connections.reports == 8);
        CHECK(done[0].connections.count(actual_ending::reset) == 2);
        CHECK(done[0].connections.count(actual_ending::aborted) == 1);
        lost->finish();
        at.check_resets(1); // of the one disposed of
    });
}

TEST_CASE("group: a session that failed before it was added does not hold the group up") {
    run([](rig& at) -> task<void> {
        session_group all(at.on);
        auto [s, theirs] = converse(at, session_role::client);
        theirs.reset();
        received got;
        co_await receive_all(s, got);
        co_await report_of(s);
        CHECK(all.add(s)); // counted, though there is nothing left to end
        CHECK(all.size() == 0);
        CHECK(all.report().sessions == 1);
        CHECK(all.begin_shutdown());
        const auto done = co_await all.completed();
        CHECK(done->reset == 1);
        at.check_resets(0);
    });
}

TEST_CASE("group: added while the group ends, or when it has completed, a session ends too") {
    run([](rig& at) -> task<void> {
        session_group all(at.on);
        auto first = converse(at, session_role::server);
        auto second = converse(at, session_role::server);
        auto third = converse(at, session_role::server);
        CHECK(all.add(first.ours));
        auto owed = first.ours.begin_request();
        CHECK(all.begin_shutdown(within(2s), 20ms));
        CHECK(all.add(second.ours));
        CHECK(all.size() == 2);
        first.theirs.finish();
        owed->finish();
        co_await report_of(first.ours);
        CHECK(all.size() == 1);
        co_await our_fin_arrives(at, second.theirs);
        second.theirs.finish();
        const auto done = co_await all.completed();
        CHECK(done->sessions == 2);
        CHECK_FALSE(all.add(third.ours));
        co_await our_fin_arrives(at, third.theirs);
        third.theirs.finish();
        const auto alone = co_await report_of(third.ours);
        CHECK(row(alone) == "local graceful 0 0 0 0");
        const auto again = co_await all.completed();
        CHECK(again->sessions == 2);
        at.check_resets(0);
    });
}

TEST_CASE("group: sessions that end by themselves, all of them, do not complete it early") {
    run([](rig& at) -> task<void> {
        session_group all(at.on);
        auto one = converse(at, session_role::server);
        CHECK(all.add(one.ours));
        std::vector<session_group_report> done;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(group_into(all, done));
            one.theirs.finish();
            CHECK(one.ours.begin_shutdown());
            co_await report_of(one.ours);
            co_await sleep_for(2ms);
            CHECK(done.empty());
            auto two = converse(at, session_role::server);
            CHECK(all.add(two.ours));
            two.theirs.finish();
            CHECK(all.begin_shutdown());
            co_await report_of(two.ours);
        });
        REQUIRE(done.size() == 1);
        CHECK(done[0].sessions == 2);
        at.check_resets(0);
    });
}

TEST_CASE("group: destroyed first, its sessions go on") {
    run([](rig& at) -> task<void> {
        auto one = converse(at, session_role::server);
        auto two = converse(at, session_role::server);
        auto owed = one.ours.begin_request();
        {
            session_group all(at.on);
            CHECK(all.add(one.ours));
            CHECK(all.add(two.ours));
            CHECK(all.begin_shutdown());
        }
        one.theirs.finish();
        two.theirs.finish();
        owed->finish();
        const auto done = co_await report_of(one.ours);
        CHECK(row(done) == "local graceful 1 1 0 0");
        co_await report_of(two.ours);
        at.check_resets(0);
    });
}

TEST_CASE("group: a wait that is cancelled loses nothing; the deadline ends who hangs") {
    run([](rig& at) -> task<void> {
        session_group all(at.on);
        auto [s, theirs] = converse(at, session_role::server);
        auto owed = s.begin_request(); // never answered
        CHECK(all.add(s));
        CHECK(all.begin_shutdown(within(80ms)));
        std::vector<session_group_report> done;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(group_into(all, done));
            co_await sleep_for(2ms);
            in.cancel();
        });
        CHECK(done.empty());
        const auto finally = co_await all.completed();
        REQUIRE(finally.has_value());
        CHECK(finally->sessions == 1);
        CHECK(finally->canceled == 1);
        CHECK(finally->connections.count(teardown_cause::deadline) == 1);
        at.check_resets(1);
    });
}

TEST_CASE("group: sessions that others end are counted like the rest") {
    run([](rig& at) -> task<void> {
        session_group all(at.on);
        auto kept = converse(at, session_role::server);
        CHECK(all.add(kept.ours));
        stream beside(state_of(kept.ours));
        begin_ending(beside, {plans::abort, teardown_cause::drain, {}});
        CHECK_FALSE(kept.ours.begin_shutdown());
        CHECK(all.begin_shutdown());
        const auto done = co_await all.completed();
        CHECK(done->sessions == 1);
        CHECK(done->connections.count(teardown_cause::drain) == 1);
        at.check_resets(1);
    });
}
