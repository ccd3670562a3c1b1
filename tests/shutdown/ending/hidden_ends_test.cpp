#include <sys/socket.h>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Ends of the peer that one call or operation is told of and another must know.

namespace {

task<void> receive_once(stream& by) {
    std::byte into[16];
    const auto got = co_await by.recv(into);
    CHECK_FALSE(got.has_value());
}

// A peer that closes a unix socket with bytes unread throws them away, so the queue is empty.
task<void> close_unread(conversation& with, bool receiving, scope& in) {
    if (receiving) in.spawn(receive_once(with.ours));
    const auto data = pattern(1000);
    const auto sent = co_await with.ours.send(data);
    CHECK(sent.bytes == data.size());
    co_await sleep_for(5ms);
    with.theirs.close();
}

} // namespace

TEST_CASE("hidden ends: unix: what the peer threw away is not called delivered by a wait") {
    for (const bool receiving : {false, true})
        run([&](rig& at) -> task<void> {
            auto pair = at.connect_unix();
            std::optional<teardown_report> report;
            co_await with_scope([&](scope& in) -> task<void> {
                co_await close_unread(pair, receiving, in);
                report = co_await close(pair.ours, lingering::wait(1s));
            });
            REQUIRE(report.has_value());
            CHECK(report->ending == actual_ending::reset);
            CHECK(report->delivery == delivery_verdict::unacknowledged);
        });
}

TEST_CASE("hidden ends: unix: what the peer threw away is not called delivered by an abort") {
    for (const bool receiving : {false, true})
        run([&](rig& at) -> task<void> {
            auto pair = at.connect_unix();
            teardown_report report;
            co_await with_scope([&](scope& in) -> task<void> {
                co_await close_unread(pair, receiving, in);
                report = co_await abort_close(pair.ours);
            });
            CHECK(report.ending == actual_ending::reset);
            CHECK(report.delivery == delivery_verdict::unacknowledged);
        });
}

TEST_CASE("hidden ends: unix: delivered does not answer yes to what the peer threw away") {
    for (const bool receiving : {false, true})
        run([&](rig& at) -> task<void> {
            auto pair = at.connect_unix();
            co_await with_scope([&](scope& in) -> task<void> {
                co_await close_unread(pair, receiving, in);
                const auto arrived = co_await delivered(pair.ours);
                CHECK_FALSE(arrived.has_value());
                co_await abort_close(pair.ours);
            });
        });
}

TEST_CASE("hidden ends: a reset whose SO_ERROR the application has read is still a reset") {
    for (const bool abort : {false, true})
        run([&](rig& at) -> task<void> {
            auto pair = at.connect();
            const auto sent = co_await pair.ours.send(text("abc"));
            CHECK(sent.bytes == 3);
            const auto finished = co_await pair.ours.shutdown_send();
            CHECK(finished.has_value());
            const auto arrived = co_await delivered(pair.ours);
            CHECK(arrived.has_value());
            CHECK(pair.theirs.read() == "abc");
            pair.theirs.reset();
            co_await sleep_for(10ms);
            const auto error = co_await pair.ours.get_option<int>(SOL_SOCKET, SO_ERROR);
            CHECK(error.value_or(0) != 0);
            teardown_report report;
            if (abort)
                report = co_await abort_close(pair.ours);
            else
                report = co_await graceful_close(pair.ours);
            CHECK(report.ending == actual_ending::reset);
            CHECK(report.reset_received);
            CHECK_FALSE(report.peer_finished);
        });
}

TEST_CASE("hidden ends: a peer that peer_closed has told of ended first") {
    for (const bool unread : {false, true})
        run([&](rig& at) -> task<void> {
            auto pair = at.connect();
            if (unread) pair.theirs.write("hello");
            pair.theirs.finish();
            const auto end = co_await peer_closed(pair.ours);
            CHECK(end.has_value());
            const auto report = co_await graceful_close(pair.ours);
            CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
            CHECK(report.discarded_bytes == (unread ? 5 : 0));
        });
}

TEST_CASE("hidden ends: an abort knows of a FIN that nobody has read") {
    run([](rig& at) -> task<void> {
        auto pair = at.connect();
        pair.theirs.write("hello");
        pair.theirs.finish();
        co_await sleep_for(5ms);
        const auto report = co_await abort_close(pair.ours);
        CHECK(row(report) == "local application abort aborted acknowledged");
        CHECK(report.peer_finished);
        CHECK(report.reset_sent);
    });
}

TEST_CASE("hidden ends: the application's own shutdown(2) is not the peer's reset") {
    run([](rig& at) -> task<void> {
        auto pair = at.connect();
        ::shutdown(pair.ours.native_handle(), SHUT_WR);
        const auto sent = co_await pair.ours.send(text("late"));
        CHECK(sent.error == std::errc::broken_pipe);
        pair.theirs.close();
        const auto report = co_await graceful_close(pair.ours);
        CHECK_FALSE(report.reset_received);
        CHECK(report.ending != actual_ending::reset);
    });
}
