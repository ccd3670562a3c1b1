#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// What the library does by itself when the peer ends first.

namespace {

using action = peer_end_policy::action;
using unread = peer_end_policy::unread;

} // namespace

TEST_CASE("when_peer_ends: by default nothing; the application sees the end and acts") {
    for (const bool said : {false, true}) {
        CAPTURE(said);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            if (said) when_peer_ends(ours, {});
            theirs.finish();
            co_await sleep_for(20ms);
            CHECK(at.reports().empty());
            const auto sent = co_await ours.send(text("half-closed peers get their answer"));
            CHECK(sent.bytes == 34);
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.ending == actual_ending::graceful);
        });
    }
}

TEST_CASE("when_peer_ends: finish ends gracefully although the application never reads") {
    for (const std::uint64_t bytes : {0, 5'000}) {
        CAPTURE(bytes);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            if (bytes > 0) theirs.write_pattern(bytes);
            theirs.finish();
            // Longer than its acknowledgement is delayed. Else that and our FIN, sent on two CPUs,
            // may overtake each other, to which the peer's kernel answers, and ours by RST.
            co_await sleep_for(60ms);
            when_peer_ends(ours, {.does = action::finish});
            co_await at.all_reported();
            CHECK(row(at.only_report()) == "peer peer_finished graceful graceful acknowledged");
            CHECK(at.only_report().discarded_bytes == bytes);
            CHECK(theirs.read_to_end().finished);
            at.check_resets(0);
        });
    }
}

TEST_CASE("when_peer_ends: finish comes behind the sends that were handed over") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        when_peer_ends(ours, {.does = action::finish});
        const auto answer = pattern(8 << 20);
        sent outcome;
        peer_reading seen;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            co_await sleep_for(5ms);
            theirs.finish();
            co_await sleep_for(20ms);
            CHECK(at.reports().empty()); // it does not read, so nothing can have ended
            peer_script reader(at.on, [&] { seen = theirs.read_to_end(); });
            co_await reader.done();
        });
        co_await at.all_reported();
        CHECK(outcome.bytes == answer.size());
        CHECK(seen.bytes == answer.size());
        CHECK(seen.intact);
        CHECK(seen.finished);
        CHECK(row(at.only_report()) == "peer peer_finished graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("when_peer_ends: finish keeps the limits it was given") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        when_peer_ends(ours, {.does = action::finish, .ending = {.within = 100ms}});
        const auto answer = pattern(1 << 20);
        sent outcome;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            co_await sleep_for(5ms);
            theirs.finish(); // and never reads
        });
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "peer deadline graceful degraded unacknowledged");
        at.check_near(at.only_report().microseconds.total, 100ms);
        at.check_resets(1);
    });
}

TEST_CASE("when_peer_ends: receive_first waits until the application has received everything") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        when_peer_ends(ours, {.does = action::finish, .data = unread::receive_first});
        theirs.write_pattern(5'000);
        theirs.finish();
        co_await sleep_for(20ms);
        CHECK(at.reports().empty());
        std::vector<std::byte> into(5'000);
        const auto most = co_await ours.recv(std::span(into).first(4'000));
        CHECK(most == 4'000);
        CHECK(at.reports().empty());
        const auto rest = co_await ours.recv(std::span(into).subspan(4'000));
        CHECK(rest == 1'000);
        CHECK(is_pattern(into, 0));
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "peer peer_finished graceful graceful acknowledged");
        CHECK(at.only_report().received_bytes == 5'000);
        CHECK(at.only_report().discarded_bytes == 0);
        at.check_resets(0);
    });
}

TEST_CASE("when_peer_ends: abort resets as soon as the peer has finished") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        when_peer_ends(ours, {.does = action::abort});
        theirs.finish();
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local peer_finished abort aborted acknowledged");
        at.check_resets(1);
    });
}

TEST_CASE("when_peer_ends: a peer that resets ends the connection under either action") {
    for (const auto does : {action::finish, action::abort}) {
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            when_peer_ends(ours, {.does = does});
            co_await sleep_for(2ms);
            theirs.reset();
            co_await at.all_reported();
            CHECK(at.only_report().cause == teardown_cause::peer_reset);
            CHECK(at.only_report().ending == actual_ending::reset);
            CHECK(at.only_report().initiator == teardown_initiator::peer);
            at.check_resets(0);
        });
    }
}

TEST_CASE("when_peer_ends: a receive in flight is told of the end it caused, once") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        when_peer_ends(ours, {.does = action::finish});
        std::byte into[8];
        result<std::size_t> got;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_into(ours, into, got));
            co_await sleep_for(5ms);
            theirs.finish();
        });
        CHECK(!got.has_value());
        const teardown_report report = co_await graceful_close(ours); // joins
        CHECK(report.cause == teardown_cause::peer_finished);
        CHECK(at.reports().size() == 1);
        const auto sent = co_await ours.send(text("x"));
        CHECK(sent.error == errc::ending);
    });
}

TEST_CASE("when_peer_ends: an ending of the application's own comes first, and is the only one") {
    for (const bool abort : {false, true}) {
        CAPTURE(abort);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            when_peer_ends(ours, {.does = action::abort});
            co_await sleep_for(2ms);
            teardown_report report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn([](peer& far) -> task<void> {
                    co_await sleep_for(5ms);
                    far.finish();
                }(theirs));
                if (abort)
                    report = co_await abort_close(ours);
                else
                    report = co_await graceful_close(ours);
            });
            CHECK(report.cause == teardown_cause::application);
            CHECK(report.ending == (abort ? actual_ending::aborted : actual_ending::graceful));
            CHECK(at.reports().size() == 1);
        });
    }
}

TEST_CASE("when_peer_ends: the choice can be changed and taken back") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        when_peer_ends(ours, {.does = action::abort});
        when_peer_ends(ours, {});
        theirs.finish();
        co_await sleep_for(20ms);
        CHECK(at.reports().empty());
        when_peer_ends(ours, {.does = action::finish}); // of a peer that has ended already
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "peer peer_finished graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("when_peer_ends: a dropped stream and the loop's end are as ever") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        when_peer_ends(ours, {.does = action::finish});
        ours = stream();
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local dropped none aborted acknowledged");
        auto [left, other] = at.connect();
        when_peer_ends(left, {.does = action::finish});
        co_await sleep_for(2ms);
        begin_ending(left, {plans::background, teardown_cause::application, {}});
    });
}

TEST_CASE("when_peer_ends: works on unix streams") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        when_peer_ends(ours, {.does = action::finish});
        theirs.write("dropped");
        theirs.finish();
        co_await at.all_reported();
        CHECK(at.only_report().ending == actual_ending::graceful);
        CHECK(at.only_report().discarded_bytes == 7);
    });
}
