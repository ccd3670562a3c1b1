#include "acknowledgement_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Whether FIN has arrived: who asks, and how often. No ending, so nothing else asks.

TEST_CASE("acknowledgement: the queue is asked once per change, and then its poll tells") {
    acknowledgement_rig at(acknowledges_after(50ms));
    at.run([&]() -> task<void> {
        at.calls.forget();
        at.say_fin();
        at.part.step(false);
        CHECK(at.asked() == 1);
        at.part.step(false); // nothing new
        CHECK(at.asked() == 1);
        at.keep_stepping();
        co_await sleep_for(20ms);
        CHECK(at.asked() == 2); // the poll posts once by itself
        CHECK(at.part.awaited());
        CHECK(at.part.moved_at() == loop::time_point());
        co_await sleep_for(40ms);
        CHECK(at.asked() == 3);
        CHECK(!at.part.awaited());
        CHECK(at.connection.sending() == sending_phase::fin_acknowledged);
        CHECK(at.part.moved_at() >= at.truth().fin_acknowledged_at);
        CHECK(at.part.moved_at() <= at.truth().fin_acknowledged_at + 100us);
        at.part.note_change();
        at.part.step(false);
        CHECK(at.asked() == 3);             // there is nothing left to ask
        CHECK(at.count("getsockopt") == 3); // whether a handshake goes on; a poll takes no sample
        CHECK(!at.part.fins_crossed());
    });
}

TEST_CASE("acknowledgement: on the ring one question is in flight at a time") {
    acknowledgement_rig at(acknowledges_after(50ms), transports::tcp, part_rig::calm);
    at.run([&]() -> task<void> {
        at.say_fin();
        const auto before = at.loop.statistics().submitted;
        at.part.step(false);
        at.part.note_change();
        at.part.step(false);
        CHECK(at.loop.operations_in_flight() == 1);
        at.keep_stepping();
        co_await sleep_for(20ms);
        CHECK(at.part.awaited());
        CHECK(at.loop.operations_in_flight() == 1); // the poll
        co_await sleep_for(40ms);
        CHECK(!at.part.awaited());
        CHECK(at.asked() == 0);
        CHECK(at.loop.statistics().submitted - before < 12);
    });
}

TEST_CASE("acknowledgement: before FIN nobody asks, and a change is not forgotten") {
    acknowledgement_rig at(acknowledges_after(0ms));
    at.run([&]() -> task<void> {
        at.part.note_change();
        at.part.step(false);
        CHECK(at.asked() == 0);
        CHECK(at.part.awaited());
        at.connection.request_fin();
        at.part.step(false);
        CHECK(at.asked() == 1);
        co_return;
    });
}

TEST_CASE("acknowledgement: a receive that tells is left to tell until the first look") {
    acknowledgement_rig at(acknowledges_after(50ms));
    at.run([&]() -> task<void> {
        at.say_fin();
        at.keep_stepping(true);
        co_await sleep_for(20ms);
        CHECK(at.asked() == 0);
        CHECK(at.loop.operations_in_flight() == 0);
        at.part.look(at.loop.now());
        at.part.step(true);
        CHECK(at.asked() == 1);
        co_await sleep_for(40ms);
        CHECK(!at.part.awaited());
    });
}

TEST_CASE("acknowledgement: behind the peer's FIN no receive tells of anything") {
    acknowledgement_rig at(acknowledges_after(50ms));
    at.run([&]() -> task<void> {
        at.say_fin();
        at.part.step(true);
        CHECK(at.asked() == 0);
        at.connection.note_end_of_stream();
        at.part.step(true);
        CHECK(at.asked() == 1);
        co_return;
    });
}

TEST_CASE("acknowledgement: where no poll tells, the looks ask again, receive or not") {
    acknowledgement_rig at(acknowledges_after(50ms), unix_like);
    at.run([&]() -> task<void> {
        at.say_fin();
        at.keep_stepping(true);
        CHECK(at.asked() == 2); // a sample as well, for what has emptied the queue
        co_await sleep_for(20ms);
        CHECK(at.asked() == 2);
        CHECK(at.loop.operations_in_flight() == 0);
        at.part.look(at.loop.now()); // by a sample
        at.part.step(true);
        CHECK(at.asked() == 5);
        CHECK(at.part.awaited());
        co_await sleep_for(40ms);
        CHECK(at.part.awaited());
        at.part.look(at.loop.now());
        at.part.step(true);
        CHECK(!at.part.awaited());
        CHECK(at.part.next_look(at.loop.now(), 5s) == loop::time_point::max());
    });
}

TEST_CASE("acknowledgement: a queue that a reset has emptied was not acknowledged") {
    acknowledgement_rig at(peer_script().await_fin().pause(1ms).reset(), unix_like);
    at.run([&]() -> task<void> {
        at.say_fin();
        co_await sleep_for(10ms);
        REQUIRE(at.truth().fin_acknowledged);
        REQUIRE(at.truth().reset_received);
        at.part.step(false);
        CHECK(at.part.awaited());
        CHECK(at.connection.end_errno() == ECONNRESET);
    });
}

TEST_CASE("acknowledgement: FINs that cross are noted, if ours was first and is not acknowledged") {
    peer_script finishes = acknowledges_after(50ms);
    finishes.pause(1ms).finish();
    for (const bool peer_first : {false, true}) {
        CAPTURE(peer_first);
        acknowledgement_rig at(finishes);
        at.run([&]() -> task<void> {
            if (!peer_first) at.say_fin();
            co_await sleep_for(10ms);
            at.connection.note_end_of_stream();
            at.part.note_change();
            if (peer_first) at.say_fin();
            at.keep_stepping();
            CHECK(at.part.fins_crossed() == !peer_first);
            co_await sleep_for(100ms);
            CHECK(!at.part.awaited());
            CHECK(at.part.fins_crossed() == !peer_first);
        });
    }
}

TEST_CASE("acknowledgement: FINs do not cross where ours had been acknowledged") {
    acknowledgement_rig at(peer_script().await_fin().finish());
    at.run([&]() -> task<void> {
        at.say_fin();
        co_await sleep_for(10ms);
        at.connection.note_end_of_stream();
        at.part.step(false);
        CHECK(!at.part.awaited());
        CHECK(!at.part.fins_crossed());
    });
}

TEST_CASE("acknowledgement: the poll tells of a reset, unless nobody wants to know any more") {
    for (const bool stopped : {false, true}) {
        CAPTURE(stopped);
        peer_script resets = acknowledges_after(50ms);
        resets.pause(10ms).reset();
        acknowledgement_rig at(resets);
        at.run([&]() -> task<void> {
            at.say_fin();
            at.keep_stepping();
            co_await sleep_for(5ms);
            if (stopped) at.part.stop();
            co_await sleep_for(10ms);
            CHECK(at.truth().reset_received);
            CHECK(at.connection.end_errno() == (stopped ? 0 : ECONNRESET));
            CHECK(at.part.awaited());
        });
    }
}

TEST_CASE("acknowledgement: an answer behind the stop is nobody's business") {
    acknowledgement_rig at(acknowledges_after(0ms), transports::tcp, part_rig::calm);
    at.run([&]() -> task<void> {
        at.say_fin();
        co_await sleep_for(1ms);
        at.part.step(false);
        at.part.stop();
        co_await sleep_for(1ms);
        CHECK(at.part.awaited());
        CHECK(at.loop.operations_in_flight() == 0);
    });
}

TEST_CASE("acknowledgement: an answer may come behind the look that has found the same") {
    acknowledgement_rig at(acknowledges_after(0ms), transports::tcp, part_rig::calm);
    at.run([&]() -> task<void> {
        at.say_fin();
        co_await sleep_for(1ms);
        at.part.step(false);
        at.part.look(at.loop.now());
        CHECK(!at.part.awaited());
        const auto moved = at.part.moved_at();
        co_await sleep_for(1ms);
        CHECK(at.loop.operations_in_flight() == 0);
        CHECK(at.part.moved_at() == moved);
    });
}

TEST_CASE("acknowledgement: a poll that has ended is asked for again") {
    acknowledgement_rig at(acknowledges_after(50ms));
    at.run([&]() -> task<void> {
        at.say_fin();
        at.keep_stepping();
        co_await sleep_for(5ms);
        at.connection.cancel_operations(true);
        co_await sleep_for(5ms);
        CHECK(at.connection.end_errno() == 0);
        CHECK(at.loop.operations_in_flight() == 1);
        co_await sleep_for(50ms);
        CHECK(!at.part.awaited());
    });
}

TEST_CASE("acknowledgement: an ending's cancellation of what waits keeps the poll") {
    acknowledgement_rig at(acknowledges_after(50ms));
    at.run([&]() -> task<void> {
        at.say_fin();
        at.keep_stepping();
        co_await sleep_for(5ms);
        const auto asked = at.asked();
        at.connection.cancel_operations(false);
        co_await sleep_for(5ms);
        CHECK(at.asked() == asked);
        CHECK(at.loop.operations_in_flight() == 1);
    });
}

TEST_CASE("acknowledgement: during a handshake an empty queue means nothing") {
    peer_script peer = acknowledges_after(30ms);
    peer.fast_open = true;
    acknowledgement_rig at(peer);
    at.run([&]() -> task<void> {
        at.say_fin();
        at.keep_stepping();
        co_await sleep_for(10ms);
        CHECK(at.asked() == 0);
        CHECK(at.part.awaited());
        CHECK(!fin_is_acknowledged(at.connection));
        co_await sleep_for(90ms);
        CHECK(at.truth().fin_acknowledged);
        CHECK(!at.part.awaited());
        CHECK(at.part.moved_at() >= at.truth().fin_acknowledged_at);
    });
}

TEST_CASE("acknowledgement: where the queue is not told, the count of acknowledged bytes tells") {
    acknowledgement_rig at(acknowledges_after(200ms));
    at.kernel.refuse_queue_sizes();
    at.run([&]() -> task<void> {
        at.say_fin();
        at.keep_stepping();
        co_await sleep_for(150ms);
        CHECK(at.part.awaited());
        CHECK(at.asked() < 5);
        CHECK(at.connection.end_errno() == 0);
        co_await sleep_for(60ms); // and nobody looks
        CHECK(at.truth().fin_acknowledged);
        CHECK(!at.part.awaited());
    });
}

TEST_CASE("acknowledgement: where the queue is not told, it watches what may still change") {
    for (const bool resets : {false, true}) {
        CAPTURE(resets);
        peer_script peer;
        if (resets) peer.await_fin().pause(1ms).reset();
        if (resets) peer.ack_delay = 50ms;
        acknowledgement_rig at(peer);
        at.kernel.refuse_queue_sizes();
        at.run([&]() -> task<void> {
            at.say_fin();
            co_await sleep_for(10ms);
            at.part.step(false);
            CHECK(at.part.awaited() == resets);
            CHECK(at.connection.end_errno() == (resets ? ECONNRESET : 0));
            CHECK(at.loop.operations_in_flight() == 0);
        });
    }
}

TEST_CASE("acknowledgement: where nothing is told, nothing is claimed") {
    for (const auto& traits : {transports::tcp, unix_like}) {
        acknowledgement_rig at(acknowledges_after(0ms), traits);
        at.kernel.refuse_queue_sizes();
        at.kernel.refuse_tcp_info();
        at.run([&]() -> task<void> {
            at.say_fin();
            at.keep_stepping();
            co_await sleep_for(10ms);
            at.part.look(at.loop.now());
            at.part.step(false);
            CHECK(at.truth().fin_acknowledged);
            CHECK(at.part.awaited());
            CHECK(!fin_is_acknowledged(at.connection));
        });
    }
}
