#include <cstring>

#include "session_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Both sides are sessions, with hundreds of calls in progress when one of them ends: every call
// gets its answer or its error, once, and both sides count the same.

namespace {

constexpr std::size_t calls = 400;
using frame = std::uint32_t; // a request is its number, an answer the same number

struct pipeline {
    explicit pipeline(rig& in) : at(in), client(make()), server(std::move(*other)) {
        due.resize(calls);
        outcomes.resize(calls);
        answers.resize(calls);
    }

    session make() {
        raw_pair made = tcp_pair();
        other.emplace(at.take_over(::dup(made.theirs.descriptor())), session_role::server);
        return session(at.take_over(made.ours), session_role::client);
    }

    rig& at;
    std::optional<session> other;
    session client;
    session server;
    std::vector<request> due;
    std::vector<int> outcomes; // how often each call was told its end
    std::vector<int> answers;  // how often each was answered
    std::size_t answered = 0, canceled = 0, refused = 0;
    std::size_t served = 0;
};

// Numbers from a stream of bytes, which come in any pieces.
template <class Each>
task<std::error_code> read_frames(session& from, Each each) {
    std::byte buffer[1000];
    std::size_t held = 0;
    for (;;) {
        const auto got = co_await from.recv(std::span(buffer).subspan(held));
        if (!got) co_return got.error();
        held += *got;
        std::size_t used = 0;
        for (; held - used >= sizeof(frame); used += sizeof(frame)) {
            frame number;
            std::memcpy(&number, buffer + used, sizeof number);
            each(number);
        }
        held -= used;
        std::memmove(buffer, buffer + used, held);
        from.inside_message(held > 0);
    }
}

task<void> serve(pipeline& in, request owed, frame number) {
    if (number % 3 == 0) co_await sleep_for(std::chrono::microseconds(100 * (number % 50)));
    const auto sent = co_await owed.send(std::as_bytes(std::span(&number, 1)));
    if (sent.error) co_return;
    owed.finish();
    ++in.served;
}

task<void> serve_all(pipeline& in, scope& handlers) {
    co_await read_frames(in.server, [&](frame number) {
        auto owed = in.server.begin_request();
        if (owed) handlers.spawn(serve(in, std::move(*owed), number));
    });
}

task<void> call(pipeline& in, frame number) {
    auto begun = in.client.begin_request();
    if (!begun) {
        ++in.outcomes[number];
        ++in.refused;
        co_return;
    }
    in.due[number] = std::move(*begun);
    const auto sent = co_await in.due[number].send(std::as_bytes(std::span(&number, 1)));
    if (!sent.error || !in.due[number]) co_return;
    in.due[number] = request();
    ++in.outcomes[number];
    ++in.canceled;
}

task<void> read_answers(pipeline& in) {
    co_await read_frames(in.client, [&](frame number) {
        ++in.outcomes[number];
        ++in.answers[number];
        ++in.answered;
        in.due[number].finish();
    });
    for (frame number = 0; number < calls; ++number) {
        if (!in.due[number]) continue;
        in.due[number] = request();
        ++in.outcomes[number];
        ++in.canceled;
    }
}

enum class ender { client, client_cancels, server, both };

task<void> drive(rig& at, ender who) {
    pipeline in(at);
    co_await with_scope([&](scope& inside) -> task<void> {
        inside.spawn(serve_all(in, inside));
        inside.spawn(read_answers(in));
        for (frame number = 0; number < calls; ++number) {
            inside.spawn(call(in, number));
            if (number % 50 == 49) co_await sleep_for(200us);
            if (number != calls / 2) continue;
            if (who == ender::server || who == ender::both) CHECK(in.server.begin_shutdown());
            if (who == ender::client || who == ender::both) CHECK(in.client.begin_shutdown());
            if (who == ender::client_cancels) CHECK(in.client.begin_shutdown(canceling_unsent()));
        }
    });
    const auto client = co_await report_of(in.client);
    const auto server = co_await report_of(in.server);
    for (frame number = 0; number < calls; ++number) {
        CHECK(in.outcomes[number] == 1);
        CHECK(in.answers[number] <= 1);
    }
    CHECK(in.answered + in.canceled + in.refused == calls);
    CHECK(in.answered > 0);
    CHECK(client.answered == in.answered);
    CHECK(client.requests == in.answered + in.canceled);
    CHECK(client.dropped == in.refused);
    CHECK(server.answered == in.served);
    CHECK(in.answered == in.served); // nothing that was answered is lost
    CHECK(client.connection.ending == actual_ending::graceful);
    CHECK(server.connection.ending == actual_ending::graceful);
    CHECK(client.connection.discarded_bytes == 0);
    const bool by_client = who == ender::client || who == ender::client_cancels;
    if (by_client) {
        CHECK(row(client.connection) == "local application graceful graceful acknowledged");
        CHECK(server.began == session_starter::peer);
        CHECK(server.peer == session_peer_end::graceful);
        CHECK(server.dropped == 0);
        CHECK(client.peer == session_peer_end::graceful);
        if (who == ender::client) CHECK(in.canceled == 0); // all that began was answered
    }
    if (who == ender::server) {
        CHECK(server.began == session_starter::local);
        CHECK(client.began == session_starter::peer);
        CHECK(client.peer ==
              (in.canceled > 0 ? session_peer_end::truncated : session_peer_end::graceful));
    }
    at.check_resets(0);
}

} // namespace

TEST_CASE("session: hundreds of calls, the client ends in the middle: what began is answered") {
    run([](rig& at) -> task<void> { co_await drive(at, ender::client); });
}
TEST_CASE("session: hundreds of calls, the client ends and cancels what it has not sent") {
    run([](rig& at) -> task<void> { co_await drive(at, ender::client_cancels); });
}
TEST_CASE("session: hundreds of calls, the server ends in the middle: each answered or cancelled") {
    run([](rig& at) -> task<void> { co_await drive(at, ender::server); });
}
TEST_CASE("session: hundreds of calls, both end in the middle: each answered or cancelled once") {
    run([](rig& at) -> task<void> { co_await drive(at, ender::both); });
}
