#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Whether what was sent has arrived, at the peer's kernel, without ending the connection.

namespace {

task<void> delivery_into(stream& of, std::optional<result<void>>& into) {
    into = co_await delivered(of);
}

} // namespace

TEST_CASE("delivered: nothing sent is delivered at once") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto asked = at.on.now();
        const auto delivery = co_await delivered(ours);
        CHECK(delivery.has_value());
        CHECK(at.on.now() - asked < 30s); // exact in punctual_test.cpp
        theirs.finish();
        co_await graceful_close(ours);
    });
}

TEST_CASE("delivered: means the peer's kernel has every byte, read or not") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto answer = pattern(30'000);
        const auto sent = co_await ours.send(answer);
        CHECK(sent.bytes == answer.size());
        const auto delivery = co_await delivered(ours);
        CHECK(delivery.has_value());
        CHECK(theirs.arrived() == answer.size());
        CHECK(theirs.unread() == answer.size());
        theirs.read_to_end(answer.size());
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.delivery == delivery_verdict::acknowledged);
        at.check_resets(0);
    });
}

TEST_CASE("delivered: waits for sends on their way, and for FIN once it was sent") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(1 << 20);
        sent outcome;
        std::optional<result<void>> delivery;
        peer_reading seen;
        peer_script reader(at.on, [&] {
            std::this_thread::sleep_for(60ms);
            seen = theirs.read_to_end();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            in.spawn(delivery_into(ours, delivery));
            in.spawn([](stream& of) -> task<void> {
                const auto finished = co_await of.shutdown_send();
                CHECK(finished.has_value());
            }(ours));
            co_await sleep_for(30ms);
            CHECK(!delivery.has_value());
        });
        co_await reader.done();
        REQUIRE(delivery.has_value());
        CHECK(delivery->has_value());
        CHECK(seen.finished);
        CHECK(seen.bytes == answer.size());
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
        at.check_resets(0);
    });
}

TEST_CASE("delivered: a peer whose kernel answers nothing is never called so") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.go_deaf();
        const auto sent = co_await ours.send(text("unheard"));
        CHECK(sent.bytes == 7);
        const auto delivery = co_await with_deadline(at.on.now() + 100ms, delivered(ours));
        CHECK(delivery.error() == errc::deadline_passed);
        const teardown_report report = co_await abort_close(ours);
        CHECK(report.unacknowledged_bytes == 7);
    });
}

TEST_CASE("delivered: a reset, and a lost network, are told as errors") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.go_deaf();
        const auto sent = co_await ours.send(text("unheard"));
        CHECK(sent.bytes == 7);
        std::optional<result<void>> delivery;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(delivery_into(ours, delivery));
            co_await sleep_for(20ms);
            theirs.reset();
        });
        REQUIRE(delivery.has_value());
        CHECK(delivery->error() == std::errc::connection_reset);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_reset graceful reset unacknowledged");
        CHECK(report.unacknowledged_bytes == 7);

        const network_in_haste sooner;
        auto [second, silent] = at.connect({.user_timeout_ms = 60});
        silent.go_deaf();
        const auto more = co_await second.send(text("unheard"));
        CHECK(more.bytes == 7);
        const auto lost = co_await delivered(second);
        CHECK(lost.error() == std::errc::timed_out);
        const teardown_report other = co_await graceful_close(second);
        CHECK(other.ending == actual_ending::lost);
    });
}

TEST_CASE("delivered: a reset that came when everything was acknowledged is told as well") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        CHECK(theirs.read() == "answer");
        co_await sleep_for(60ms);
        theirs.reset();
        const auto delivery = co_await delivered(ours);
        CHECK(delivery.error() == std::errc::connection_reset);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_reset graceful reset acknowledged");
    });
}

TEST_CASE("delivered: cancelled, or with its connection ended, it says which") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.go_deaf();
        const auto sent = co_await ours.send(text("unheard"));
        CHECK(sent.bytes == 7);
        std::optional<result<void>> canceled, ended;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(delivery_into(ours, canceled));
            co_await sleep_for(10ms);
            in.cancel();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(delivery_into(ours, ended));
            co_await sleep_for(10ms);
            co_await abort_close(ours);
        });
        REQUIRE(canceled.has_value());
        CHECK(canceled->error() == std::errc::operation_canceled);
        REQUIRE(ended.has_value());
        CHECK(ended->error() == errc::ending);
    });
}

TEST_CASE("delivered: on a unix stream, when the peer has read every byte") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        std::optional<result<void>> delivery;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(delivery_into(ours, delivery));
            co_await sleep_for(20ms);
            CHECK(!delivery.has_value());
            CHECK(theirs.read() == "answer");
        });
        REQUIRE(delivery.has_value());
        CHECK(delivery->has_value());
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
    });
}
