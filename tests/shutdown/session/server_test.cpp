#include <atomic>

#include "session_rig.hpp"

#include <ringdown/shutdown/session/internal/session_access.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// The server's side: it owes answers.

TEST_CASE(
    "transports: the server sees the client's FIN: client shutdown event, dispatched requests "
    "are answered, others dropped and counted; at zero pending FIN, then completed") {
    for (const bool as_lease : {false, true})
        run([as_lease](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, session_role::server);
            std::string events;
            received got;
            theirs.write("request request request");
            auto first = s.begin_request();
            auto second = s.begin_request();
            theirs.finish();
            sent outcome;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(note_events(s, events));
                co_await receive_all(s, got, as_lease);
                CHECK(got.text == "request request request");
                CHECK(got.end == errc::end_of_stream);
                co_await sleep_for(1ms);
                CHECK(events == "peer_shutdown");
                CHECK(s.phase() == session_phase::answering);
                CHECK(s.begin_request().error() == errc::ending); // the third
                auto answering = answer(std::move(*first), text("one "), outcome);
                co_await answering;
                CHECK(!outcome.error);
                co_await sleep_for(10ms);
                CHECK(theirs.tcp_state() == TCP_FIN_WAIT2); // no FIN of ours yet
                const auto last = co_await second->send(text("two"));
                CHECK(!last.error);
                second->finish();
            });
            CHECK(events == "peer_shutdown shutdown_completed");
            CHECK(theirs.read() == "one two");
            CHECK(theirs.read_to_end().finished);
            const auto done = co_await report_of(s);
            CHECK(row(done) == "peer graceful 2 2 0 1");
            CHECK(row(done.connection) == "peer peer_finished graceful graceful acknowledged");
            at.check_resets(0);
        });
}

TEST_CASE("transports: the server starts: it stops receiving, counts down, FIN, completed") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        std::string events;
        received got;
        auto owed = s.begin_request();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(note_events(s, events));
            in.spawn(receive_all(s, got));
            co_await sleep_for(5ms);
            CHECK(s.begin_shutdown());
            co_await sleep_for(5ms);
            CHECK(got.end == std::errc::operation_canceled); // was in flight
            theirs.write("one more request");
            co_await sleep_for(10ms);
            CHECK(got.text.empty());
            CHECK_FALSE(has_our_fin(theirs));
            const auto sent = co_await owed->send(text("answer"));
            CHECK(!sent.error);
            owed->finish();
            co_await our_fin_arrives(at, theirs);
            CHECK(theirs.read() == "answer");
            CHECK(theirs.read_to_end().finished);
            theirs.finish();
        });
        CHECK(events == "peer_shutdown shutdown_completed");
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local graceful 1 1 0 0");
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        CHECK(done.connection.received_bytes == 0);
        CHECK(done.connection.discarded_bytes == 16);
        at.check_resets(0);
    });
}

TEST_CASE("session: bytes unread when the server shuts down are discarded and counted, in the "
          "kernel and in the loop's buffers") {
    for (const bool leased : {false, true})
        run([leased](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, session_role::server);
            if (leased) { // the inbox takes more than it is asked for
                for (int i = 0; i < 4; ++i) {
                    theirs.write("x");
                    const auto one = co_await s.recv_lease();
                    CHECK(one->size() == 1);
                }
            }
            theirs.write_pattern(50'000);
            co_await sleep_for(10ms);
            CHECK(s.begin_shutdown());
            theirs.finish();
            const auto done = co_await report_of(s);
            CHECK(done.connection.ending == actual_ending::graceful);
            CHECK(done.connection.discarded_bytes == 50'000);
            CHECK(done.connection.received_bytes == (leased ? 4 : 0));
            at.check_resets(0);
        });
}

TEST_CASE("session: the client's FIN comes while the server counts down: graceful for both") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        auto owed = s.begin_request();
        CHECK(s.begin_shutdown());
        theirs.finish();
        co_await sleep_for(10ms);
        CHECK(s.phase() == session_phase::answering);
        const auto sent = co_await owed->send(text("answer"));
        CHECK(!sent.error);
        owed->finish();
        const auto done = co_await report_of(s);
        CHECK(theirs.read() == "answer");
        CHECK(theirs.read_to_end().finished);
        CHECK(row(done) == "local graceful 1 1 0 0");
        CHECK(done.connection.ending == actual_ending::graceful);
        CHECK(done.connection.initiator == teardown_initiator::peer); // whose FIN was first
        at.check_resets(0);
    });
}

TEST_CASE("session: answers may be sent in any order, in parts, and last for long") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        std::vector<request> owed;
        for (int i = 0; i < 10; ++i)
            owed.push_back(*s.begin_request());
        CHECK(s.pending() == 10);
        CHECK(s.begin_shutdown());
        for (int i = 9; i >= 0; --i) {
            const std::string part = std::to_string(i);
            const auto begun = co_await owed[static_cast<std::size_t>(i)].send(text(part));
            CHECK(!begun.error);
            co_await sleep_for(1ms);
            const auto rest = co_await owed[static_cast<std::size_t>(i)].send(text(";"));
            CHECK(!rest.error);
            owed[static_cast<std::size_t>(i)].finish();
            CHECK(s.pending() == static_cast<std::size_t>(i));
        }
        co_await our_fin_arrives(at, theirs);
        std::string seen;
        for (std::string more = theirs.read(); !more.empty(); more = theirs.read())
            seen += more;
        CHECK(seen == "9;8;7;6;5;4;3;2;1;0;");
        theirs.close();
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local graceful 10 10 0 0");
        at.check_resets(0);
    });
}

TEST_CASE("session: finish as soon as the answer was handed to send: FIN is behind all of it") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server, {},
                                    {.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto data = pattern(1 << 20);
        sent outcome;
        peer_reading seen;
        auto owed = s.begin_request();
        std::optional<peer_script> reader;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_on(*owed, data, outcome));
            co_await sleep_for(5ms);
            CHECK(s.begin_shutdown());
            owed->finish();
            CHECK(s.phase() == session_phase::closing);
            reader.emplace(at.on, [&] {
                seen = theirs.read_to_end();
                theirs.finish();
            });
        });
        co_await reader->done();
        CHECK(!outcome.error);
        CHECK(seen.finished);
        CHECK(seen.bytes == data.size());
        const auto done = co_await report_of(s);
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("session: a peer that uploads while the server answers does not hold it up") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        const auto data = pattern(16 << 20);
        sent outcome;
        peer_reading seen;
        auto owed = s.begin_request();
        CHECK(s.begin_shutdown());
        peer_script uploader(at.on, [&] { // writes before it reads
            CHECK(theirs.write_pattern(16 << 20) == 16 << 20);
            seen = theirs.read_to_end();
            theirs.finish();
        });
        auto answering = answer(std::move(*owed), data, outcome);
        co_await answering;
        co_await uploader.done();
        CHECK(!outcome.error);
        CHECK(seen.finished);
        CHECK(seen.intact);
        CHECK(seen.bytes == data.size());
        const auto done = co_await report_of(s);
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        CHECK(done.connection.discarded_bytes == 16 << 20);
        at.check_resets(0);
    });
}

TEST_CASE(
    "session: requests that go on coming cost no answer; the discard cap counts from FIN on") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server);
        auto owed = s.begin_request();
        session_policy policy;
        policy.limits.discard_bytes_max = 1'000'000;
        CHECK(s.begin_shutdown(policy));
        std::atomic<std::size_t> uploaded = 0;
        peer_script uploader(at.on, [&] {
            while (theirs.write_pattern(65536) == 65536)
                uploaded += 65536;
        });
        // What the client has handed to its kernel may still be on its way.
        const auto& dropped = state_of(s).bytes().discarded;
        const bool went_on = co_await eventually(at, [&] { return dropped > 4'000'000; });
        CHECK(went_on);
        CHECK(uploaded + 65536 > 4'000'000);
        CHECK(s.phase() == session_phase::answering);
        const auto late = co_await owed->send(text("answer"));
        CHECK(!late.error);
        owed->finish();
        const auto done = co_await report_of(s);
        co_await uploader.done();
        CHECK(theirs.read() == "answer");
        CHECK(done.answered == 1);
        CHECK(done.connection.cause == teardown_cause::discard_limit);
        CHECK(done.connection.ending == actual_ending::degraded);
        CHECK(done.connection.discarded_bytes > 4'000'000);
        at.check_resets(1);
    });
}
