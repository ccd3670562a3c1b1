#include "session_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// A FIN that comes too early: the kernel sends one for a process that has died, too.

namespace {

session_policy truncation(const ending_plan& answered_by) {
    session_policy policy;
    policy.when_truncated = answered_by;
    return policy;
}

} // namespace

TEST_CASE("transports: rude ends are told apart: FIN inside a message is truncated, both roles") {
    for (const auto role : {session_role::client, session_role::server})
        for (const bool as_lease : {false, true})
            run([role, as_lease](rig& at) -> task<void> {
                auto [s, theirs] = converse(at, role);
                std::string events;
                received got;
                theirs.write("half a mess");
                theirs.close();
                std::byte into[64];
                const auto begun = co_await s.recv(into);
                CHECK(*begun == 11);
                s.inside_message(true);
                co_await with_scope([&](scope& in) -> task<void> {
                    in.spawn(note_events(s, events));
                    co_await receive_all(s, got, as_lease);
                });
                CHECK(got.end == errc::end_of_stream);
                CHECK(events == "peer_truncated shutdown_completed");
                const auto how = co_await s.peer_ended();
                CHECK(*how == session_peer_end::truncated);
                const auto done = co_await report_of(s);
                CHECK(row(done) == "peer truncated 0 0 0 0");
                CHECK(row(done.connection) == "peer truncated graceful graceful acknowledged");
                at.check_resets(0);
            });
}

TEST_CASE("session: a message that came whole before FIN is no truncation") {
    for (const auto role : {session_role::client, session_role::server})
        run([role](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, role);
            theirs.write("half ");
            std::byte into[64];
            const auto begun = co_await s.recv(into);
            CHECK(*begun == 5);
            s.inside_message(true);
            theirs.write("and half");
            theirs.finish();
            const auto rest = co_await s.recv(into);
            CHECK(*rest == 8);
            s.inside_message(false);
            received got;
            co_await receive_all(s, got);
            const auto done = co_await report_of(s);
            CHECK(row(done) == "peer graceful 0 0 0 0");
            CHECK(row(done.connection) == "peer peer_finished graceful graceful acknowledged");
            at.check_resets(0);
        });
}

TEST_CASE("session: FIN with answers due is truncated for a client, and not for a server") {
    for (const auto role : {session_role::client, session_role::server})
        run([role](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, role);
            const bool client = role == session_role::client;
            auto pending = s.begin_request();
            theirs.finish();
            received got;
            co_await receive_all(s, got);
            CHECK(got.end == errc::end_of_stream);
            const auto how = co_await s.peer_ended();
            CHECK(*how == (client ? session_peer_end::truncated : session_peer_end::graceful));
            CHECK(s.phase() == (client ? session_phase::closing : session_phase::answering));
            pending = request(); // given up
            const auto done = co_await report_of(s);
            CHECK(row(done) == (client ? "peer truncated 1 0 1 0" : "peer graceful 1 0 1 0"));
            CHECK(row(done.connection) ==
                  (client ? "peer truncated graceful graceful acknowledged"
                          : "peer peer_finished graceful graceful acknowledged"));
            at.check_resets(0);
        });
}

TEST_CASE("session: truncation answered by abort is a reset, requests in progress or not") {
    for (const bool pending : {false, true})
        run([pending](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, session_role::server, truncation(plans::abort));
            std::string events;
            result<request> owed;
            if (pending) owed = s.begin_request();
            s.inside_message(true);
            theirs.finish();
            received got;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(note_events(s, events));
                co_await receive_all(s, got);
            });
            CHECK(got.end == errc::end_of_stream);
            CHECK(events == "peer_truncated shutdown_completed");
            if (pending) {
                const auto late = co_await owed->send(text("answer"));
                CHECK(late.error == errc::ending);
            }
            const auto done = co_await report_of(s);
            CHECK(row(done) == (pending ? "peer truncated 1 0 1 0" : "peer truncated 0 0 0 0"));
            CHECK(row(done.connection) == "local truncated abort aborted acknowledged");
            CHECK(done.connection.reset_sent);
            CHECK(theirs.read_to_end().error == ECONNRESET);
            at.check_resets(1);
        });
}

TEST_CASE("session: truncation answered gracefully gives whole requests their answers") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server, truncation(plans::graceful));
        auto owed = s.begin_request();
        s.inside_message(true);
        theirs.finish();
        received got;
        co_await receive_all(s, got);
        CHECK(s.phase() == session_phase::answering);
        const auto sent = co_await owed->send(text("answer"));
        CHECK(!sent.error);
        owed->finish();
        const auto done = co_await report_of(s);
        CHECK(theirs.read() == "answer");
        CHECK(theirs.read_to_end().finished);
        CHECK(row(done) == "peer truncated 1 1 0 0");
        CHECK(row(done.connection) == "peer truncated graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("session: a graceful end is no reason to abort, whatever truncation is answered by") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client, truncation(plans::abort));
        theirs.finish();
        received got;
        co_await receive_all(s, got);
        const auto done = co_await report_of(s);
        CHECK(row(done.connection) == "peer peer_finished graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("transports: truncated whoever started: the client's own FIN was first, answers due") {
    for (const bool as_lease : {false, true})
        run([as_lease](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, session_role::client);
            std::string events;
            received got;
            auto answered = s.begin_request();
            auto due = s.begin_request();
            CHECK(s.begin_shutdown());
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(note_events(s, events));
                in.spawn(receive_all(s, got, as_lease));
                theirs.write("only one");
                const bool one = co_await eventually(at, [&] { return got.text == "only one"; });
                CHECK(one);
                answered->finish();
                CHECK(s.phase() == session_phase::answering);
                theirs.finish();
            });
            CHECK(got.end == errc::end_of_stream);
            CHECK(events == "peer_truncated shutdown_completed");
            const auto done = co_await report_of(s);
            due = request();
            CHECK(row(done) == "local truncated 2 1 1 0");
            CHECK(row(done.connection) == "local truncated graceful graceful acknowledged");
            at.check_resets(0);
        });
}

TEST_CASE("session: truncated stays said, though the requests are finished or given up later") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client, {},
                                    {.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto data = pattern(2 << 20);
        sent outcome;
        received got;
        auto due = s.begin_request();
        std::optional<peer_script> reader;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_on(*due, data, outcome)); // keeps the connection from closing
            co_await sleep_for(5ms);
            theirs.finish();
            co_await receive_all(s, got);
            due->finish();
            s.inside_message(false);
            reader.emplace(at.on, [&] { CHECK(theirs.read_to_end().finished); });
        });
        co_await reader->done();
        const auto done = co_await report_of(s);
        CHECK(row(done) == "peer truncated 1 1 0 0");
        CHECK(done.connection.cause == teardown_cause::truncated);
        at.check_resets(0);
    });
}

TEST_CASE("session: the truncation that the shutdown's own policy aborts") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client, {},
                                    {.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto data = pattern(4 << 20);
        sent outcome;
        received got;
        auto due = s.begin_request();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_on(*due, data, outcome)); // FIN waits behind it
            co_await sleep_for(5ms);
            CHECK(s.begin_shutdown(truncation(plans::abort)));
            theirs.finish();
            co_await receive_all(s, got);
        });
        CHECK(got.end == errc::end_of_stream);
        CHECK(outcome.error);
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local truncated 1 0 1 0");
        CHECK(done.connection.cause == teardown_cause::truncated);
        CHECK(done.connection.ending == actual_ending::degraded);
        at.check_resets(1);
    });
}
