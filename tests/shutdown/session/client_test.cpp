#include "session_rig.hpp"

#include <ringdown/shutdown/session/internal/session_access.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// The client's side: answers are due to it.

TEST_CASE("transports: the client starts: FIN at once, answers due are awaited and delivered, the "
          "server's FIN ends receiving, then completed, once") {
    for (const bool as_lease : {false, true})
        run([as_lease](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, session_role::client);
            std::string events;
            received got;
            auto due = s.begin_request();
            const auto asked = co_await due->send(text("request"));
            CHECK(!asked.error);
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(note_events(s, events));
                in.spawn(receive_all(s, got, as_lease));
                co_await sleep_for(5ms);
                CHECK(s.begin_shutdown());
                CHECK(s.phase() == session_phase::answering);
                co_await our_fin_arrives(at, theirs); // before any answer
                CHECK(theirs.read() == "request");
                CHECK(theirs.read_to_end().finished);
                CHECK(got.end == std::error_code());
                theirs.write("ans");
                co_await sleep_for(10ms);
                theirs.write("wer");
                const bool whole = co_await eventually(at, [&] { return got.text == "answer"; });
                CHECK(whole);
                CHECK(s.phase() == session_phase::answering);
                CHECK(events.empty());
                due->finish();
                CHECK(s.phase() == session_phase::closing);
                theirs.finish();
            });
            CHECK(got.end);
            CHECK(events == "peer_shutdown shutdown_completed");
            const auto done = co_await report_of(s);
            CHECK(row(done) == "local graceful 1 1 0 0");
            CHECK(row(done.connection) == "local application graceful graceful acknowledged");
            CHECK(done.connection.received_bytes == 6);
            CHECK(done.connection.discarded_bytes == 0);
            at.check_resets(0);
        });
}

TEST_CASE("session: answers and FIN that wait in the loop's buffers when the client starts are "
          "received, none is lost") {
    for (const bool as_lease : {false, true})
        run([as_lease](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, session_role::client);
            std::string expected;
            received got;
            auto due = s.begin_request();
            for (int i = 0; i < 3; ++i) { // short ones, so that the receive stays armed
                theirs.write("x");
                const auto one = co_await s.recv_lease();
                CHECK(one->size() == 1);
            }
            for (int i = 0; i < 5; ++i) {
                const auto piece = std::to_string(i) + std::string(900, '.');
                expected += piece;
                theirs.write(piece);
                co_await sleep_for(2ms); // so each comes in a buffer of its own
            }
            theirs.finish();
            co_await sleep_for(10ms);
            const bool known = state_of(s).receiving() == receiving_phase::finished;
            CHECK_FALSE(state_of(s).end_told());
            if (at.on.has(capability::multishot_recv)) CHECK(known);
            CHECK(s.begin_shutdown());
            CHECK(s.phase() == session_phase::answering);
            co_await sleep_for(20ms); // the connection has its FINs; the application has not read
            CHECK(s.phase() == session_phase::answering);
            std::byte small[100];
            while (got.text.size() < expected.size()) {
                if (as_lease) {
                    const auto more = co_await s.recv_lease();
                    REQUIRE(more.has_value());
                    got.text.append(reinterpret_cast<const char*>(more->data().data()),
                                    more->size());
                } else {
                    const auto more = co_await s.recv(small);
                    REQUIRE(more.has_value());
                    got.text.append(reinterpret_cast<const char*>(small), *more);
                }
            }
            CHECK(got.text == expected);
            due->finish();
            const auto done = co_await report_of(s);
            CHECK(row(done) == "local graceful 1 1 0 0");
            CHECK(done.connection.ending == actual_ending::graceful);
            CHECK(done.connection.discarded_bytes == 0);
            CHECK(done.connection.received_bytes == expected.size() + 3);
            at.check_resets(0);
        });
}

TEST_CASE("session: much is answered behind the client's FIN, and all of it is received") {
    for (const bool as_lease : {false, true})
        run([as_lease](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, session_role::client);
            constexpr std::size_t bytes = 4 << 20;
            received got;
            auto due = s.begin_request();
            CHECK(s.begin_shutdown());
            peer_script server(at.on, [&] {
                CHECK(theirs.read_to_end().finished);
                CHECK(theirs.write_pattern(bytes) == bytes);
                theirs.finish();
            });
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(receive_all(s, got, as_lease));
                const bool whole =
                    co_await eventually(at, [&] { return got.text.size() == bytes; });
                CHECK(whole);
            });
            co_await server.done();
            CHECK(is_pattern(text(got.text), 0));
            due->finish();
            const auto done = co_await report_of(s);
            CHECK(done.connection.ending == actual_ending::graceful);
            CHECK(done.connection.received_bytes == bytes);
            at.check_resets(0);
        });
}

TEST_CASE("transports: the client sees the server's FIN: server shutdown event, pending sends "
          "cancelled and told once, FIN, completed") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client, {},
                                    {.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto data = pattern(2 << 20);
        std::string events;
        received got;
        sent first, second;
        int first_told = 0, second_told = 0;
        peer_reading seen;
        std::optional<peer_script> reader;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(note_events(s, events));
            in.spawn(receive_all(s, got));
            in.spawn(send_beside(s, data, first, first_told));
            in.spawn(send_beside(s, text("behind"), second, second_told));
            co_await sleep_for(10ms);
            theirs.finish();
            const bool told = co_await eventually(at, [&] { return second_told > 0; });
            CHECK(told);
            CHECK(events == "peer_shutdown");
            CHECK(got.end == errc::end_of_stream);
            CHECK(first_told == 0); // it had begun, and completes whole
            CHECK(s.begin_request().error() == errc::ending);
            reader.emplace(at.on, [&] { seen = theirs.read_to_end(); });
        });
        co_await reader->done();
        CHECK(events == "peer_shutdown shutdown_completed");
        CHECK(first_told == 1);
        CHECK(second_told == 1);
        CHECK(second.error == std::errc::operation_canceled);
        CHECK(seen.finished);
        CHECK(seen.bytes == data.size());
        const auto done = co_await report_of(s);
        CHECK(row(done) == "peer graceful 0 0 0 1");
        CHECK(row(done.connection) == "peer peer_finished graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("session: sends cancelled with their requests: nothing is due any more, and it ends") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client, {},
                                    {.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto data = pattern(2 << 20);
        sent first, second;
        std::optional<peer_script> reader;
        auto one = s.begin_request();
        auto two = s.begin_request();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(answer(std::move(*one), data, first));
            in.spawn([](request due, sent& outcome) -> task<void> {
                outcome = co_await due.send(text("behind"));
            }(std::move(*two), second));
            co_await sleep_for(10ms);
            CHECK(s.begin_shutdown(canceling_unsent()));
            co_await sleep_for(5ms);
            CHECK(s.pending() == 1); // the second was given up by its caller
            reader.emplace(at.on, [&] {
                CHECK(theirs.read_to_end().bytes == data.size());
                theirs.finish();
            });
        });
        co_await reader->done();
        CHECK(second.error == std::errc::operation_canceled);
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local graceful 2 1 1 0");
        CHECK(done.connection.ending == actual_ending::graceful);
        at.check_resets(0);
    });
}

TEST_CASE("session: client and server on one loop, both start at once, with requests under way") {
    run([](rig& at) -> task<void> {
        raw_pair made = tcp_pair();
        session client(at.take_over(made.ours), session_role::client);
        const int other = ::dup(made.theirs.descriptor());
        made.theirs.close();
        session server(at.take_over(other), session_role::server);
        received at_client, at_server;
        sent asked, answered;
        auto due = client.begin_request();
        asked = co_await due->send(text("request"));
        std::byte into[64];
        const auto came = co_await server.recv(into);
        CHECK(*came == 7);
        auto owed = server.begin_request();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_all(client, at_client));
            in.spawn(receive_all(server, at_server));
            co_await sleep_for(1ms);
            CHECK(client.begin_shutdown());
            CHECK(server.begin_shutdown());
            co_await sleep_for(10ms);
            CHECK(server.phase() == session_phase::answering);
            answered = co_await owed->send(text("answer"));
            const bool whole = co_await eventually(at, [&] { return at_client.text == "answer"; });
            CHECK(whole);
            due->finish();
            owed->finish();
        });
        CHECK(!answered.error);
        const auto first = co_await report_of(client);
        const auto second = co_await report_of(server);
        CHECK(row(first) == "local graceful 1 1 0 0");
        CHECK(row(second) == "local graceful 1 1 0 0");
        CHECK(first.connection.ending == actual_ending::graceful);
        CHECK(second.connection.ending == actual_ending::graceful);
        at.check_resets(0);
    });
}
