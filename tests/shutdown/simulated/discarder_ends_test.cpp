#include <utility>
#include <vector>

#include <ringdown/net/internal/tcp_state.hpp>

#include "discarder_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// How dropping comes to its end, and what it does on an open connection and just before a close.

namespace {

std::vector<abandonment> left;

void note_left(connection&, abandonment why) noexcept { left.push_back(why); }

/// Who ends a connection that its peer has sent too much.
class noted_endings {
public:
    noted_endings() : before_(std::exchange(end_abandoned, &note_left)) { left.clear(); }
    ~noted_endings() { end_abandoned = before_; }
    noted_endings(const noted_endings&) = delete;
    noted_endings& operator=(const noted_endings&) = delete;

private:
    abandoned_ending before_;
};

} // namespace

TEST_CASE("discarder: the peer's end is seen, and told unless bytes before it were dropped") {
    for (const std::uint64_t before : {0, 3}) {
        CAPTURE(before);
        discarder_rig at(peer_script().write(before).pause(1ms).finish());
        at.run([&]() -> task<void> {
            at.drop(no_limit);
            co_await sleep_for(5ms);
            CHECK(at.connection.receiving() == receiving_phase::finished);
            CHECK(at.connection.ended_first() == first_end::peer);
            CHECK(at.connection.end_told() == (before == 0));
            CHECK(!at.part.in_flight());
            CHECK(!at.part.error());
        });
    }
}

TEST_CASE("discarder: a reset ends the connection, and is no error of its own") {
    discarder_rig at(peer_script().pause(1ms).reset());
    at.run([&]() -> task<void> {
        at.drop(no_limit);
        co_await sleep_for(5ms);
        CHECK(at.connection.end_errno() == ECONNRESET);
        CHECK(at.connection.receiving() == receiving_phase::reset);
        CHECK(!at.connection.end_told());
        CHECK(!at.part.error());
    });
}

TEST_CASE("discarder: a reset whose error somebody else was told is no end of the peer's") {
    discarder_rig at(peer_script().reset());
    at.run([&]() -> task<void> {
        co_await sleep_for(1ms);
        REQUIRE(socket_error_of(at.calls, at.connection.descriptor()) == ECONNRESET);
        at.drop(no_limit);
        co_await sleep_for(1ms);
        CHECK(at.connection.end_errno() == ECONNRESET);
        CHECK(at.connection.receiving() == receiving_phase::reset);
        CHECK(!at.connection.end_told());
    });
}

TEST_CASE("discarder: an error that it cannot go on from is kept, unless it was stopped") {
    for (const bool stopped : {false, true}) {
        CAPTURE(stopped);
        sim_options options = part_rig::calm;
        options.discard_error = EINVAL;
        discarder_rig at({}, options);
        at.run([&]() -> task<void> {
            at.connection.enter(receiving_phase::discarding);
            at.part.set_limit(no_limit);
            at.part.step();
            if (stopped) at.part.stop();
            co_await sleep_for(1ms);
            CHECK(at.part.error().value() == (stopped ? 0 : EINVAL));
            CHECK(at.connection.end_errno() == 0);
            CHECK(at.connection.receiving() == receiving_phase::discarding);
        });
    }
}

TEST_CASE("discarder: one that was cancelled, or interrupted, may go on") {
    for (const int interruption : {ECANCELED, EINTR}) {
        CAPTURE(interruption);
        sim_options options = part_rig::calm;
        if (interruption != ECANCELED) options.discard_error = interruption;
        discarder_rig at({}, options);
        at.run([&]() -> task<void> {
            at.connection.enter(receiving_phase::discarding);
            at.part.set_limit(no_limit);
            at.part.step();
            at.connection.cancel_operations(true);
            co_await sleep_for(1ms);
            CHECK(!at.part.in_flight());
            CHECK(!at.part.error());
            CHECK(at.connection.end_errno() == 0);
        });
    }
}

TEST_CASE("discarder: is what an ending lets go on, and a reset ends") {
    discarder_rig at({});
    at.run([&]() -> task<void> {
        at.drop(no_limit);
        co_await sleep_for(1ms);
        at.connection.cancel_operations(false);
        co_await sleep_for(1ms);
        CHECK(at.part.in_flight());
        CHECK(at.part.ends_with_reset());
        CHECK(!at.connection.cancels_in_flight());
    });
}

TEST_CASE("discarder: on an open connection it goes on by itself, until its cap is passed") {
    const noted_endings endings;
    part_rig at(peer_script().write(100).pause(10ms).write(900).pause(10ms).write(1));
    at.run([&]() -> task<void> {
        at.connection.stop_receiving(1'000);
        co_await sleep_for(15ms);
        CHECK(at.connection.bytes().discarded == 1'000);
        CHECK(left.empty());
        co_await sleep_for(10ms);
        REQUIRE(left.size() == 1);
        CHECK(left[0] == abandonment::discard_limit);
        CHECK(at.connection.idle()); // it asks for no more
    });
}

TEST_CASE("discarder: on an open connection an error is not tried again") {
    const noted_endings endings;
    sim_options options = part_rig::calm;
    options.discard_error = EINVAL;
    part_rig at({}, transports::tcp, options);
    at.run([&]() -> task<void> {
        at.connection.stop_receiving(1'000);
        const auto before = at.loop.statistics().submitted;
        co_await sleep_for(10ms);
        CHECK(at.connection.own_discarder()->error() == std::errc::invalid_argument);
        CHECK(at.loop.statistics().submitted - before < 5);
        CHECK(left.empty());
    });
}

TEST_CASE("drop_now: drops and counts what is there, and notes how the peer has ended") {
    for (const bool finishes : {false, true}) {
        CAPTURE(finishes);
        peer_script writes = peer_script().write(30'000);
        discarder_rig at(finishes ? writes.finish() : writes.reset());
        at.run([&]() -> task<void> {
            co_await sleep_for(1ms);
            at.connection.enter(receiving_phase::discarding);
            at.part.set_limit(no_limit);
            at.part.drop_now();
            CHECK(at.discarded() == 30'000);
            CHECK(at.part.dropped_at() == at.loop.now());
            CHECK(at.connection.end_errno() == (finishes ? 0 : ECONNRESET));
            CHECK(at.connection.receiving() ==
                  (finishes ? receiving_phase::finished : receiving_phase::reset));
            CHECK(at.count("recv") == 2);
        });
    }
}

TEST_CASE("drop_now: of an open connection with nothing to drop it notes nothing") {
    discarder_rig at({});
    at.run([&]() -> task<void> {
        at.connection.enter(receiving_phase::discarding);
        at.part.set_limit(0);
        at.part.drop_now();
        CHECK(at.discarded() == 0);
        CHECK(at.count("recv") == 1);
        CHECK(at.connection.receiving() == receiving_phase::discarding);
        CHECK(at.connection.end_errno() == 0);
        co_return;
    });
}

TEST_CASE("drop_now: a peer that never pauses is left after 64 pieces, or at the cap") {
    for (const std::uint64_t cap : {no_limit, std::uint64_t{100'000}}) {
        CAPTURE(cap);
        sim_options options = part_rig::calm;
        options.call_time = 200us; // so each receive finds something
        discarder_rig at(peer_script().upload(), options);
        at.run([&]() -> task<void> {
            co_await sleep_for(1ms);
            at.connection.enter(receiving_phase::discarding);
            at.part.set_limit(cap);
            at.part.drop_now();
            CHECK(at.part.over_limit() == (cap != no_limit));
            if (cap == no_limit)
                CHECK(at.count("recv") == 64);
            else
                CHECK(at.count("recv") < 10);
        });
    }
}
