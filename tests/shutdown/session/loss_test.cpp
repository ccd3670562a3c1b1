#include "session_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Resets at every stage, peers that vanish, wait or stand still, and what time ends.

namespace {

constexpr pair_options narrow{.our_send_buffer = 65536, .their_receive_buffer = 65536};

session_policy idle(std::chrono::nanoseconds time) {
    session_policy policy = within(10s);
    policy.limits.idle = time;
    return policy;
}

} // namespace

TEST_CASE("session: reset while it is open, with requests in progress: told, ended, all counted") {
    for (const auto role : {session_role::client, session_role::server})
        for (const bool as_lease : {false, true})
            run([role, as_lease](rig& at) -> task<void> {
                auto [s, theirs] = converse(at, role);
                std::string events;
                received got;
                auto pending = s.begin_request();
                co_await with_scope([&](scope& in) -> task<void> {
                    in.spawn(note_events(s, events));
                    in.spawn(receive_all(s, got, as_lease));
                    co_await sleep_for(2ms);
                    theirs.reset();
                });
                CHECK(got.end == std::errc::connection_reset);
                CHECK(events == "peer_reset shutdown_completed");
                CHECK_FALSE(s.begin_shutdown());
                const auto sent = co_await pending->send(text("answer"));
                CHECK(sent.error == errc::ending);
                const auto done = co_await report_of(s);
                CHECK(row(done) == "peer reset 1 0 1 0");
                CHECK(row(done.connection) == "peer peer_reset graceful reset acknowledged");
                at.check_resets(0);
            });
}

TEST_CASE("session: data that came before a reset is received before it is told") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client);
        auto due = s.begin_request();
        theirs.write("answer");
        theirs.reset();
        received got;
        co_await receive_all(s, got);
        CHECK(got.text == "answer");
        CHECK(got.end == std::errc::connection_reset);
        due->finish();
        const auto done = co_await report_of(s);
        CHECK(done.peer == session_peer_end::reset);
        at.check_resets(0);
    });
}

TEST_CASE("session: reset while a server answers") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        auto owed = s.begin_request();
        CHECK(s.begin_shutdown());
        co_await sleep_for(2ms);
        theirs.reset();
        const auto done = co_await report_of(s); // without an answer being tried
        const auto late = co_await owed->send(text("answer"));
        CHECK(late.error == errc::ending);
        owed->finish();
        CHECK(row(done) == "local reset 1 0 1 0");
        CHECK(row(done.connection) == "peer peer_reset graceful reset acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("session: reset while a server's answer is on its way") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server, {}, narrow);
        const auto data = pattern(4 << 20);
        sent outcome;
        auto owed = s.begin_request();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(answer(std::move(*owed), data, outcome));
            co_await sleep_for(5ms);
            CHECK(s.begin_shutdown());
            co_await sleep_for(2ms);
            theirs.reset();
        });
        CHECK(outcome.error == std::errc::connection_reset);
        const auto done = co_await report_of(s);
        CHECK(done.peer == session_peer_end::reset);
        CHECK(done.connection.ending == actual_ending::reset);
        CHECK(done.connection.sent_bytes + done.connection.unsent_bytes == data.size());
        CHECK(done.answered + done.canceled == 1);
        at.check_resets(0);
    });
}

TEST_CASE("session: reset while a client awaits answers behind its FIN") {
    for (const bool as_lease : {false, true})
        run([as_lease](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, session_role::client);
            std::string events;
            received got;
            auto due = s.begin_request();
            CHECK(s.begin_shutdown());
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(note_events(s, events));
                in.spawn(receive_all(s, got, as_lease));
                co_await our_fin_arrives(at, theirs);
                theirs.reset();
            });
            CHECK(got.end == std::errc::connection_reset);
            CHECK(events == "peer_reset shutdown_completed");
            const auto done = co_await report_of(s);
            CHECK(row(done) == "local reset 1 0 1 0");
            CHECK(done.connection.initiator == teardown_initiator::local);
            CHECK(done.connection.cause == teardown_cause::peer_reset);
            at.check_resets(0);
        });
}

TEST_CASE("session: reset in answer to the last FIN") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        CHECK(s.begin_shutdown());
        co_await our_fin_arrives(at, theirs);
        theirs.reset();
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local reset 0 0 0 0");
        CHECK(done.connection.ending == actual_ending::reset);
        at.check_resets(0);
    });
}

TEST_CASE("session: a peer that has vanished: requests in progress end at the deadline") {
    for (const auto role : {session_role::client, session_role::server})
        run([role](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, role);
            auto pending = s.begin_request();
            theirs.go_deaf();
            CHECK(s.begin_shutdown(within(150ms)));
            if (role == session_role::server) {
                const auto sent = co_await pending->send(text("answer"));
                CHECK(!sent.error); // by the kernel's buffer
                pending->finish();
            }
            const auto done = co_await report_of(s);
            CHECK(done.peer == session_peer_end::none);
            CHECK(row(done.connection) == "local deadline graceful degraded unacknowledged");
            at.check_near(done.connection.microseconds.total, 150ms);
            at.check_resets(1);
        });
}

TEST_CASE("session: the network gives up: told as a reset, and lost") {
    run([](rig& at) -> task<void> {
        const network_in_haste sooner;
        auto [s, theirs] = converse(at, session_role::server, {}, {.user_timeout_ms = 60});
        auto owed = s.begin_request();
        theirs.go_deaf();
        const auto sent = co_await owed->send(text("answer"));
        CHECK(!sent.error);
        received got;
        co_await receive_all(s, got);
        CHECK(got.end == std::errc::timed_out);
        const auto done = co_await report_of(s);
        CHECK(row(done) == "peer reset 1 0 1 0");
        CHECK(row(done.connection) == "kernel network_timeout graceful lost unacknowledged");
    });
}

TEST_CASE(
    "session: a peer that never finishes is reset at the idle time, from the last answer on") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        auto owed = s.begin_request();
        CHECK(s.begin_shutdown(idle(100ms)));
        co_await sleep_for(150ms); // the handler computes; the peer is not to blame
        CHECK(s.phase() == session_phase::answering);
        const auto sent = co_await owed->send(text("answer"));
        CHECK(!sent.error);
        owed->finish();
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local none 1 1 0 0");
        CHECK(row(done.connection) == "local idle graceful degraded acknowledged");
        CHECK(done.connection.microseconds.total >= 250ms);
        CHECK(done.connection.microseconds.total < 30s); // exact in punctual_test.cpp
        CHECK(theirs.read() == "answer");
        at.check_resets(1);
    });
}

TEST_CASE("session: a client's idle time does not run while answers are due, its deadline does") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client);
        auto due = s.begin_request();
        auto policy = idle(50ms);
        policy.limits.within = 250ms;
        CHECK(s.begin_shutdown(policy));
        received got;
        co_await receive_all(s, got);
        CHECK(got.end == std::errc::operation_canceled);
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local none 1 0 1 0");
        CHECK(row(done.connection) == "local deadline graceful degraded acknowledged");
        at.check_near(done.connection.microseconds.total, 250ms);
        at.check_resets(1);
    });
}

TEST_CASE("session: a window of zero with answers due ends at the deadline, bytes unsent named") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server, {}, narrow);
        const auto data = pattern(4 << 20);
        sent first, second;
        auto one = s.begin_request();
        auto two = s.begin_request();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(answer(std::move(*one), data, first));
            in.spawn(answer(std::move(*two), text("behind"), second));
            co_await sleep_for(5ms);
            CHECK(s.begin_shutdown(within(150ms)));
        });
        const auto done = co_await report_of(s);
        CHECK(first.error == std::errc::operation_canceled);
        CHECK(second.error == std::errc::operation_canceled);
        CHECK(second.bytes == 0);
        CHECK(row(done.connection) == "local deadline graceful degraded unacknowledged");
        CHECK(done.connection.sent_bytes == first.bytes);
        CHECK(done.connection.sent_bytes + done.connection.unsent_bytes == data.size() + 6);
        at.check_near(done.connection.microseconds.total, 150ms);
        at.check_resets(1);
        const auto seen = theirs.read_to_end();
        CHECK(seen.error == ECONNRESET);
        CHECK(seen.intact);
    });
}

TEST_CASE("session: a handler that never answers is ended by the deadline, an absolute one too") {
    for (const bool absolute : {false, true})
        run([absolute](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, session_role::server);
            auto owed = s.begin_request();
            auto policy = within(absolute ? 10s : 100ms);
            if (absolute) policy.limits.deadline = at.on.now() + 100ms;
            CHECK(s.begin_shutdown(policy));
            const auto done = co_await report_of(s);
            owed->finish(); // too late to count
            CHECK(row(done) == "local none 1 0 1 0");
            CHECK(row(done.connection) == "local deadline graceful degraded acknowledged");
            at.check_near(done.connection.microseconds.total, 99ms);
            at.check_resets(1);
        });
}
