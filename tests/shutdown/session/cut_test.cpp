#include "session_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Answers that are cancelled in the middle: no FIN may make them look whole, nor another answer
// follow the hole.

namespace {

constexpr pair_options narrow{.our_send_buffer = 65536, .their_receive_buffer = 65536};

// Sends to a peer that has no room, and is cancelled over it.
task<sent> cut_send(rig& at, request& on, std::span<const std::byte> data) {
    sent outcome;
    co_await with_deadline(at.on.now() + 10ms, send_on(on, data, outcome));
    co_return outcome;
}

} // namespace

TEST_CASE("session: an answer cut by its deadline while the session ends: RST, never FIN") {
    for (const bool already_ending : {false, true})
        run([already_ending](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, session_role::server, {}, narrow);
            const auto data = pattern(4 << 20);
            auto owed = s.begin_request();
            if (already_ending) CHECK(s.begin_shutdown());
            const sent outcome = co_await cut_send(at, *owed, data);
            CHECK(outcome.error == std::errc::operation_canceled);
            CHECK(outcome.bytes > 0);
            if (!already_ending) CHECK(s.begin_shutdown());
            owed = request();
            const auto done = co_await report_of(s);
            CHECK(row(done) == "local none 1 0 1 0");
            CHECK(done.connection.cause == teardown_cause::canceled);
            CHECK(done.connection.ending == actual_ending::degraded);
            CHECK(done.connection.reset_sent);
            const auto seen = theirs.read_to_end();
            CHECK(seen.intact);
            CHECK(seen.error == ECONNRESET);
            at.check_resets(1);
        });
}

TEST_CASE("session: no other answer follows one that was cut, and no FIN") {
    for (const bool already_ending : {false, true})
        run([already_ending](rig& at) -> task<void> {
            auto [s, theirs] = converse(at, session_role::server, {}, narrow);
            const auto data = pattern(4 << 20);
            auto cut = s.begin_request();
            auto other = s.begin_request();
            if (already_ending) CHECK(s.begin_shutdown());
            const sent outcome = co_await cut_send(at, *cut, data);
            CHECK(outcome.bytes > 0);
            cut = request();
            peer_reading seen;
            peer_script reader(at.on, [&] { seen = theirs.read_to_end(); });
            const auto behind = co_await other->send(text("answer"));
            CHECK(behind.error == std::errc::operation_canceled);
            CHECK(behind.bytes == 0);
            if (!already_ending) {
                const auto note = co_await s.send(text("notification"));
                CHECK(note.error == std::errc::operation_canceled);
                CHECK(s.begin_shutdown());
            }
            other->finish();
            const auto done = co_await report_of(s);
            co_await reader.done();
            CHECK(seen.intact); // nothing behind the hole
            CHECK(seen.error == ECONNRESET);
            CHECK(seen.bytes <= outcome.bytes);
            CHECK(done.connection.cause == teardown_cause::canceled);
            CHECK(done.connection.ending == actual_ending::degraded);
            at.check_resets(1);
        });
}

TEST_CASE("session: the request whose answer was cut may go on with it, and all is well") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server, {}, narrow);
        const auto data = pattern(4 << 20);
        auto owed = s.begin_request();
        auto other = s.begin_request();
        CHECK(s.begin_shutdown());
        const sent outcome = co_await cut_send(at, *owed, data);
        CHECK(outcome.error == std::errc::operation_canceled);
        peer_reading seen;
        peer_script reader(at.on, [&] {
            seen = theirs.read_to_end();
            theirs.finish();
        });
        request moved = std::move(*owed);
        const auto rest = co_await moved.send(std::span(data).subspan(outcome.bytes));
        CHECK(!rest.error);
        moved.finish();
        const auto behind = co_await other->send(text(""));
        CHECK(!behind.error);
        other->finish();
        co_await reader.done();
        CHECK(seen.finished);
        CHECK(seen.intact);
        CHECK(seen.bytes == data.size());
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local graceful 2 2 0 0");
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("session: an answer cut, its rest cancelled before a byte of it went: RST, never FIN") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server, {}, narrow);
        const auto data = pattern(4 << 20);
        auto owed = s.begin_request();
        auto other = s.begin_request();
        CHECK(s.begin_shutdown());
        const sent outcome = co_await cut_send(at, *owed, data);
        CHECK(outcome.bytes > 0);
        const sent rest = co_await cut_send(at, *owed, std::span(data).subspan(outcome.bytes));
        CHECK(rest.error == std::errc::operation_canceled);
        CHECK(rest.bytes == 0);
        peer_reading seen;
        peer_script reader(at.on, [&] { seen = theirs.read_to_end(); });
        const auto behind = co_await other->send(text("answer"));
        CHECK(behind.error == std::errc::operation_canceled);
        owed = request();
        other->finish();
        const auto done = co_await report_of(s);
        co_await reader.done();
        CHECK(seen.error == ECONNRESET);
        CHECK(seen.intact);
        CHECK(done.connection.cause == teardown_cause::canceled);
        CHECK(done.connection.sent_bytes + done.connection.unsent_bytes == data.size());
        at.check_resets(1);
    });
}

TEST_CASE("graceful_close: a send cut short, its rest cancelled before a byte went: still aborts") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect(narrow);
        const auto data = pattern(4 << 20);
        sent first, second;
        auto sending = send_into(ours, data, first);
        co_await with_deadline(at.on.now() + 10ms, std::move(sending));
        CHECK(first.bytes > 0);
        const auto left = std::span(data).subspan(first.bytes);
        auto again = send_into(ours, left, second);
        co_await with_deadline(at.on.now() + 10ms, std::move(again));
        CHECK(second.error == std::errc::operation_canceled);
        CHECK(second.bytes == 0);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "local canceled graceful degraded unacknowledged");
        CHECK(report.sent_bytes + report.unsent_bytes == data.size());
        CHECK(theirs.read_to_end().error == ECONNRESET);
        at.check_resets(1);
    });
}

TEST_CASE("session: answers queued behind one that is cut are told so, each once") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server, {}, narrow);
        const auto data = pattern(4 << 20);
        auto cut = s.begin_request();
        auto other = s.begin_request();
        CHECK(s.begin_shutdown());
        sent first, second;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](rig& on, request owed, std::span<const std::byte> with,
                        sent& outcome) -> task<void> {
                outcome = co_await cut_send(on, owed, with);
            }(at, std::move(*cut), data, first));
            in.spawn(answer(std::move(*other), text("answer"), second));
            co_return;
        });
        CHECK(first.bytes > 0);
        CHECK(second.error == std::errc::operation_canceled);
        CHECK(second.bytes == 0);
        const auto done = co_await report_of(s);
        CHECK(done.connection.cause == teardown_cause::canceled);
        CHECK(done.connection.reset_sent);
        CHECK(theirs.read_to_end().error == ECONNRESET);
        at.check_resets(1);
    });
}

TEST_CASE("session: the scope of a handler is cancelled in the middle of its answer") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server, {}, narrow);
        const auto data = pattern(4 << 20);
        auto owed = s.begin_request();
        sent outcome;
        CHECK(s.begin_shutdown());
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](request by, std::span<const std::byte> with, sent& into) -> task<void> {
                into = co_await by.send(with);
                if (!into.error) by.finish();
            }(std::move(*owed), data, outcome));
            co_await sleep_for(5ms);
            in.cancel();
        });
        CHECK(outcome.error == std::errc::operation_canceled);
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local none 1 0 1 0");
        CHECK(done.connection.cause == teardown_cause::canceled);
        CHECK(done.connection.reset_sent);
        CHECK(theirs.read_to_end().error == ECONNRESET);
        at.check_resets(1);
    });
}

TEST_CASE("session: a client's request cut in the middle: no FIN behind it") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client, {}, narrow);
        const auto data = pattern(4 << 20);
        auto due = s.begin_request();
        auto other = s.begin_request();
        const sent outcome = co_await cut_send(at, *due, data);
        CHECK(outcome.bytes > 0);
        due = request();
        const auto behind = co_await other->send(text("request"));
        CHECK(behind.error == std::errc::operation_canceled);
        CHECK(s.begin_shutdown());
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local none 2 0 2 0");
        CHECK(done.connection.cause == teardown_cause::canceled);
        CHECK(done.connection.reset_sent);
        CHECK(theirs.read_to_end().error == ECONNRESET);
        at.check_resets(1);
    });
}

TEST_CASE("session: a send that is cancelled before a byte of it went leaves no hole") {
    run([](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server, {}, narrow);
        const auto data = pattern(1 << 20);
        auto owed = s.begin_request();
        auto given_up = s.begin_request();
        sent first, second;
        peer_reading seen;
        std::optional<peer_script> reader;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(answer(std::move(*owed), data, first));
            second = co_await cut_send(at, *given_up, text("behind"));
            given_up = request();
            CHECK(s.begin_shutdown());
            reader.emplace(at.on, [&] {
                seen = theirs.read_to_end();
                theirs.finish();
            });
        });
        co_await reader->done();
        CHECK(!first.error);
        CHECK(second.error == std::errc::operation_canceled);
        CHECK(second.bytes == 0);
        CHECK(seen.finished);
        CHECK(seen.bytes == data.size());
        const auto done = co_await report_of(s);
        CHECK(row(done) == "local graceful 2 1 1 0");
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        at.check_resets(0);
    });
}
