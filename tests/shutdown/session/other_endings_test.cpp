#include "session_rig.hpp"

#include <ringdown/shutdown/session/internal/session_access.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// Sessions whose connection somebody else ends: a server's drain, its idle time, a close.

namespace {

std::shared_ptr<listening_socket> any_port() {
    return std::make_shared<listening_socket>(address::parse("127.0.0.1:0").value());
}

} // namespace

TEST_CASE("session: graceful_close beside it ends it at once; no answer follows, all is told") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        std::string events;
        received got;
        auto owed = s.begin_request();
        stream beside(state_of(s));
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(note_events(s, events));
            in.spawn(receive_all(s, got));
            co_await sleep_for(2ms);
            begin_ending(beside, {});
            CHECK(s.begin_request().error() == errc::ending);
            CHECK_FALSE(s.begin_shutdown());
            const auto sent = co_await owed->send(text("answer"));
            CHECK(sent.error == errc::ending);
            const auto note = co_await s.send(text("notification"));
            CHECK(note.error == errc::ending);
            owed = request();
            co_await sleep_for(2ms); // the cancellation is on its way
            theirs.finish();
        });
        CHECK(got.end == std::errc::operation_canceled);
        CHECK(events == "peer_shutdown shutdown_completed");
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local graceful 1 0 1 1");
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("session: abort beside one that is answering cuts it short") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        auto owed = s.begin_request();
        CHECK(s.begin_shutdown());
        stream beside(state_of(s));
        auto aborting = abort_close(beside);
        co_await aborting;
        const auto done = co_await report_of(s);
        owed->finish();
        CHECK(row(done) == "local none 1 0 1 0");
        CHECK(row(done.connection) == "local application graceful degraded acknowledged");
        CHECK(theirs.read_to_end().error == ECONNRESET);
        at.check_resets(1);
    });
}

TEST_CASE("session: a server's drain waits for the sessions, which its handlers end") {
    run([](rig& at) -> task<void> {
        std::optional<session_report> done;
        std::optional<server> serving;
        serving.emplace(at.on, any_port(), [&](stream accepted) -> task<void> {
            at.expect_report_of(accepted);
            session s(std::move(accepted), session_role::server);
            std::byte into[64];
            const auto asked = co_await s.recv(into);
            CHECK(*asked == 7);
            auto owed = s.begin_request();
            const auto drains = co_await serving->draining().wait();
            CHECK(drains.has_value());
            CHECK(s.begin_shutdown());
            co_await sleep_for(10ms);
            const auto sent = co_await owed->send(text("answer"));
            CHECK(!sent.error);
            owed->finish();
            done = co_await report_of(s);
        });
        auto theirs = connect_peer(serving->local());
        theirs.write("request");
        peer_script client(at.on, [&] {
            CHECK(theirs.read() == "answer");
            CHECK(theirs.read_to_end().finished);
            theirs.close();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](server& of) -> task<void> {
                const auto ran = co_await of.run();
                CHECK(ran.has_value());
            }(*serving));
            co_await sleep_for(10ms);
            const auto drained = co_await serving->drain({.within = 2s});
            CHECK(drained.accepts == 1);
            CHECK(drained.stragglers.empty());
            CHECK(drained.connections.count(actual_ending::graceful) == 1);
        });
        co_await client.done();
        REQUIRE(done.has_value());
        CHECK(row(*done) == "local graceful 1 1 0 0");
        at.check_resets(0);
    });
}

namespace {

// Runs a server of one session, whose request is answered after a while, and ends it by a drain.
task<void> serve_one(rig& at, server_options options, std::chrono::milliseconds answer_after,
                     drain_policy policy, std::optional<session_report>& done, sent& answer) {
    std::optional<server> serving;
    serving.emplace(
        at.on, any_port(),
        [&](stream accepted) -> task<void> {
            at.expect_report_of(accepted);
            session s(std::move(accepted), session_role::server);
            std::byte into[16];
            const auto got = co_await s.recv(into);
            if (got) {
                auto owed = s.begin_request();
                const auto slept = co_await sleep_for(answer_after);
                if (slept && owed) {
                    answer = co_await owed->send(text("answer"));
                    if (answer) owed->finish();
                }
                (void)co_await s.recv(into);
            }
            const auto over = co_await s.completed();
            if (over) done = *over;
        },
        options);
    auto theirs = connect_peer(serving->local());
    theirs.write("ask");
    peer_script client(at.on, [&] {
        theirs.read_to_end();
        theirs.close();
    });
    co_await with_scope([&](scope& in) -> task<void> {
        in.spawn([](server& of) -> task<void> {
            const auto ran = co_await of.run();
            CHECK(ran.has_value());
        }(*serving));
        co_await sleep_for(20ms);
        co_await serving->drain(policy);
    });
    co_await client.done();
}

} // namespace

TEST_CASE("session: a server's drain at its deadline aborts a request that takes longer") {
    run([](rig& at) -> task<void> {
        std::optional<session_report> done;
        sent answer{};
        const server_options plain{};
        co_await serve_one(at, plain, 2s, {.within = 50ms}, done, answer);
        CHECK(answer.bytes == 0);
        CHECK(row(at.only_report()) == "local drain abort aborted acknowledged");
        at.check_resets(1);
    });
}

TEST_CASE("session: a server's drain lets a request be answered, and ends the idle session then") {
    run([](rig& at) -> task<void> {
        std::optional<session_report> done;
        sent answer{};
        const server_options plain{};
        co_await serve_one(at, plain, 100ms, {.within = 1h}, done, answer);
        CHECK(answer.bytes == 6);
        REQUIRE(done.has_value());
        CHECK(row(*done) == "local graceful 1 1 0 0");
        CHECK(row(at.only_report()) == "local drain graceful graceful acknowledged");
        CHECK(at.only_report().microseconds.total < 60s);
        at.check_resets(0);
    });
}

TEST_CASE("session: a server's idle time does not run while a request is in progress") {
    run([](rig& at) -> task<void> {
        std::optional<session_report> done;
        sent answer{};
        server_options options;
        options.idle = 50ms;
        options.when_idle.policy.within = 1s;
        co_await serve_one(at, options, 150ms, {.within = 2s, .unready_for = 600ms}, done, answer);
        CHECK(answer.bytes == 6);
        REQUIRE(done.has_value());
        CHECK(row(*done) == "local graceful 1 1 0 0");
        // After the answer it did run: long before the drain asked anybody.
        CHECK(row(at.only_report()) == "local idle graceful graceful acknowledged");
        at.check_resets(0);
    });
}
