#include "closing_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Which closes reset, and what is lost with them.

TEST_CASE("closing: a reset leaves at once, and the close adds none") {
    closing_rig at;
    at.run([&]() -> task<void> {
        CHECK(at.part.reset());
        CHECK(at.truth().reset_sent);
        CHECK(!at.part.resets());
        CHECK(!at.part.reset_refused());
        CHECK(!at.part.error());
        CHECK(at.count("setsockopt") == 0);
        at.connection.enter(life_phase::aborting);
        at.part.close();
        co_await sleep_for(1ms);
        CHECK(at.truth().closed);
    });
}

TEST_CASE("closing: where a reset at once is refused, the close resets") {
    closing_rig at({}, no_reset_at_once());
    at.run([&]() -> task<void> {
        CHECK(!at.part.reset());
        CHECK(at.part.resets());
        CHECK(!at.part.reset_refused());
        CHECK(!at.truth().reset_sent);
        at.end();
        at.part.close();
        co_await sleep_for(1ms);
        CHECK(at.truth().reset_sent);
        CHECK(!at.part.error());
    });
}

TEST_CASE("closing: where both are refused, that is the error, and the close says FIN") {
    closing_rig at({}, no_reset_at_all());
    at.run([&]() -> task<void> {
        CHECK(!at.part.error());
        CHECK(!at.part.reset());
        CHECK(at.part.resets());
        CHECK(at.part.reset_refused());
        CHECK(at.part.error() == std::errc::permission_denied);
        at.end();
        at.part.close();
        co_await sleep_for(1ms);
        CHECK(!at.truth().reset_sent);
        CHECK(at.truth().fin_sent);
    });
}

TEST_CASE("closing: a refused reset is no error where the connection was over before it") {
    closing_rig at({}, no_reset_at_all());
    at.run([&]() -> task<void> {
        CHECK(!at.part.reset());
        at.part.forget_reset();
        CHECK(!at.part.resets());
        CHECK(!at.part.error());
        co_return;
    });
}

TEST_CASE("closing: an error of the close itself is told ahead of a refused reset") {
    for (const bool silent : {true, false}) {
        CAPTURE(silent);
        sim_options options = no_reset_at_all();
        options.close_error = EIO;
        if (!silent) options.missing.add(capability::skip_success);
        closing_rig at({}, options);
        at.run([&]() -> task<void> {
            CHECK(!at.part.reset());
            at.end();
            at.part.close();
            co_await sleep_for(1ms);
            CHECK(at.truth().closed);
            CHECK(at.part.error() == std::errc::io_error);
        });
    }
}

TEST_CASE("closing: unread bytes are counted, and make a close in place reset") {
    for (const std::uint64_t unread : {0, 1, 100}) {
        CAPTURE(unread);
        closing_rig at(peer_script().write(unread));
        at.run([&]() -> task<void> {
            co_await sleep_for(1ms);
            CHECK(unread_bytes(at.connection) == unread);
            at.connection.bytes().discarded = 7;
            at.end();
            at.part.close_in_place();
            CHECK(at.truth().closed);
            CHECK(at.connection.life() == life_phase::joined);
            CHECK(at.connection.bytes().discarded == 7 + unread);
            CHECK(at.part.reset_by_unread() == (unread > 0));
            CHECK(at.truth().reset_sent == (unread > 0));
            CHECK(!at.part.error());
            co_return;
        });
    }
}

TEST_CASE("closing: unread bytes of a connection that is gone are counted, and reset nothing") {
    closing_rig at(peer_script().write(100).await_fin().finish());
    at.run([&]() -> task<void> {
        at.connection.request_fin();
        co_await sleep_for(1ms);
        REQUIRE(at.truth().peer_finished);
        at.end();
        at.part.close_in_place();
        CHECK(at.connection.bytes().discarded == 100);
        CHECK(!at.part.reset_by_unread());
        CHECK(!at.truth().reset_sent);
    });
}

TEST_CASE("closing: unread bytes reset where the close was to reset, whoever refuses that") {
    for (const bool refused : {false, true}) {
        CAPTURE(refused);
        closing_rig at(peer_script().write(1), refused ? no_reset_at_all() : no_reset_at_once());
        at.run([&]() -> task<void> {
            co_await sleep_for(1ms);
            CHECK(!at.part.reset());
            at.part.count_unread();
            CHECK(at.connection.bytes().discarded == 1);
            CHECK(at.part.reset_by_unread());
            at.end();
            at.part.close();
            co_await sleep_for(1ms);
            CHECK(at.truth().reset_sent);
        });
    }
}

TEST_CASE("closing: what is counted for a close that does not reset is no reset") {
    closing_rig at(peer_script().write(100));
    at.run([&]() -> task<void> {
        co_await sleep_for(1ms);
        at.part.count_unread();
        CHECK(at.connection.bytes().discarded == 100);
        CHECK(!at.part.reset_by_unread());
    });
    closing_rig empty({}, no_reset_at_once());
    empty.run([&]() -> task<void> {
        CHECK(!empty.part.reset());
        empty.part.count_unread();
        CHECK(empty.connection.bytes().discarded == 0);
        CHECK(!empty.part.reset_by_unread());
        co_return;
    });
}

TEST_CASE("closing: where the kernel does not tell, no byte counts as unread") {
    closing_rig at(peer_script().write(100));
    at.kernel.refuse_queue_sizes();
    at.run([&]() -> task<void> {
        co_await sleep_for(1ms);
        CHECK(unread_bytes(at.connection) == 0);
    });
}
