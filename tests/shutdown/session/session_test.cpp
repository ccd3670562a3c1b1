#include "session_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// How a session begins to end, and what may still begin.

TEST_CASE("session: a server that shuts down answers what is in progress, then finishes") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        auto owed = s.begin_request();
        REQUIRE(owed.has_value());
        CHECK(s.begin_shutdown());
        co_await sleep_for(20ms);
        CHECK(s.phase() == session_phase::answering);
        CHECK_FALSE(has_our_fin(theirs));
        const auto sent = co_await owed->send(text("answer"));
        CHECK(!sent.error);
        owed->finish();
        CHECK(s.phase() == session_phase::closing);
        co_await our_fin_arrives(at, theirs);
        CHECK(theirs.read() == "answer");
        CHECK(theirs.read_to_end().finished);
        theirs.close();
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local graceful 1 1 0 0");
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        CHECK(s.phase() == session_phase::completed);
        at.check_resets(0);
    });
}

TEST_CASE("transports: begin_shutdown is idempotent, the first caller wins and is told so") {
    for (const auto role : {session_role::client, session_role::server})
        run([role](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, role);
            CHECK(s.begin_shutdown());
            CHECK_FALSE(s.begin_shutdown());
            CHECK_FALSE(s.begin_shutdown(within(0ms))); // its limits do not count
            co_await sleep_for(30ms);
            theirs.finish();
            const auto done = co_await report_of(s);
            CHECK_FALSE(s.begin_shutdown());
            CHECK(row(done) == "local graceful 0 0 0 0");
            CHECK(row(done.connection) == "local application graceful graceful acknowledged");
            at.check_resets(0);
        });
}

TEST_CASE("session: begin_shutdown after the peer began is told that it did not win") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        auto owed = s.begin_request();
        theirs.finish();
        received got;
        co_await receive_all(s, got);
        CHECK(got.end == errc::end_of_stream);
        CHECK_FALSE(s.begin_shutdown());
        owed->finish();
        const auto done = co_await report_of(s);
        CHECK(row(done) == "peer graceful 1 1 0 0");
        CHECK(row(done.connection) == "peer peer_finished graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("transports: new sends and requests fail with errc::ending, on both sides") {
    for (const auto role : {session_role::client, session_role::server})
        run([role](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, role);
            auto before = s.begin_request();
            REQUIRE(before.has_value());
            CHECK(s.begin_shutdown());
            const auto refused = s.begin_request();
            CHECK(refused.error() == errc::ending);
            const auto sent = co_await s.send(text("too late"));
            CHECK(sent.error == errc::ending);
            CHECK(sent.bytes == 0);
            if (role == session_role::client) { // whose FIN has left
                const auto more = co_await before->send(text("too late"));
                CHECK(more.error == errc::ending);
            } else {
                std::byte into[16];
                const auto got = co_await s.recv(into);
                CHECK(got.error() == errc::ending);
                const auto leased = co_await s.recv_lease();
                CHECK(leased.error() == errc::ending);
            }
            before->finish();
            co_await our_fin_arrives(at, theirs);
            CHECK(theirs.read_to_end().bytes == 0);
            theirs.finish();
            const auto done = co_await report_of(s);
            CHECK(s.begin_request().error() == errc::ending);
            CHECK(row(done) == "local graceful 1 1 0 1");
            CHECK(done.connection.unsent_bytes == 0); // what is refused was never handed over
            at.check_resets(0);
        });
}

namespace {

// A send under way that the peer has not made room for, and two that are queued behind it.
struct three_sends {
    std::vector<std::byte> first = pattern(2 << 20);
    std::vector<std::byte> second = pattern(1000, first.size());
    std::vector<std::byte> third = pattern(1000, first.size() + second.size());
    sent outcomes[3];
    int told[3] = {};

    void spawn(scope& in, session& by) {
        in.spawn(send_beside(by, first, outcomes[0], told[0]));
        in.spawn(send_beside(by, second, outcomes[1], told[1]));
        in.spawn(send_beside(by, third, outcomes[2], told[2]));
    }
};
constexpr pair_options narrow{.our_send_buffer = 65536, .their_receive_buffer = 65536};

} // namespace

TEST_CASE("session: sends not begun are flushed when that is chosen, FIN behind the last of them") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client, {}, narrow);
        three_sends sends;
        peer_reading seen;
        std::optional<peer_script> reader;
        co_await with_scope([&](scope& in) -> task<void> {
            sends.spawn(in, s);
            co_await sleep_for(10ms);
            CHECK(s.begin_shutdown());
            reader.emplace(at.on, [&] {
                seen = theirs.read_to_end();
                theirs.finish();
            });
        });
        co_await reader->done();
        for (const int told : sends.told)
            CHECK(told == 1);
        for (const sent& each : sends.outcomes)
            CHECK(!each.error);
        CHECK(seen.finished);
        CHECK(seen.intact);
        CHECK(seen.bytes == sends.first.size() + 2000);
        const auto done = co_await report_of(s);
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("transports: a client's sends not yet begun are cancelled, their callers told once; the "
          "one that had begun completes whole, FIN behind it") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client, {}, narrow);
        three_sends sends;
        peer_reading seen;
        std::optional<peer_script> reader;
        co_await with_scope([&](scope& in) -> task<void> {
            sends.spawn(in, s);
            co_await sleep_for(10ms);
            CHECK(s.begin_shutdown(canceling_unsent()));
            co_await sleep_for(5ms);
            CHECK(sends.told[0] == 0);
            CHECK(sends.told[1] == 1); // at once, not at the end
            reader.emplace(at.on, [&] {
                seen = theirs.read_to_end();
                theirs.finish();
            });
        });
        co_await reader->done();
        for (const int told : sends.told)
            CHECK(told == 1);
        CHECK(!sends.outcomes[0].error);
        CHECK(sends.outcomes[0].bytes == sends.first.size());
        for (const sent& each : {sends.outcomes[1], sends.outcomes[2]}) {
            CHECK(each.error == std::errc::operation_canceled);
            CHECK(each.bytes == 0);
        }
        CHECK(seen.finished);
        CHECK(seen.intact);
        CHECK(seen.bytes == sends.first.size());
        const auto done = co_await report_of(s);
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        CHECK(done.connection.unsent_bytes == 0);
        at.check_resets(0);
    });
}

TEST_CASE("session: a server's queued answers are sent even where unsent sends are cancelled") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server, {}, narrow);
        const auto answers = pattern((2 << 20) + 1000);
        const auto all = std::span(answers);
        sent first, second;
        peer_reading seen;
        std::optional<peer_script> reader;
        auto one = s.begin_request();
        auto two = s.begin_request();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(answer(std::move(*one), all.first(2 << 20), first));
            in.spawn(answer(std::move(*two), all.last(1000), second));
            co_await sleep_for(10ms);
            CHECK(s.pending() == 2);
            CHECK(s.begin_shutdown(canceling_unsent()));
            reader.emplace(at.on, [&] {
                seen = theirs.read_to_end();
                theirs.finish();
            });
        });
        co_await reader->done();
        CHECK(!first.error);
        CHECK(!second.error);
        CHECK(seen.intact);
        CHECK(seen.bytes == answers.size());
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local graceful 2 2 0 0");
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("session: begin_shutdown with nothing in progress ends at once, over TCP and unix") {
    for (const bool over_unix : {false, true})
        run([over_unix](rig& at) -> task<void> {
            auto made = over_unix ? at.connect_unix() : at.connect();
            session s(std::move(made.ours), session_role::server);
            CHECK(s.begin_shutdown());
            CHECK(s.phase() == session_phase::closing);
            peer_script reader(at.on, [&] {
                CHECK(made.theirs.read_to_end().finished);
                made.theirs.close();
            });
            co_await reader.done();
            const auto done = co_await report_of(s);
            CHECK(row(done) == "local graceful 0 0 0 0");
            CHECK(done.connection.ending == actual_ending::graceful);
            at.check_resets(0);
        });
}
