#include <array>

#include <sys/socket.h>

#include "closing_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// How a descriptor goes, without the ending that decides it.

namespace {

task<void> receive_nothing(stream& from) {
    std::array<std::byte, 8> into{};
    const auto none = co_await from.recv(into);
    CHECK(!none);
}

task<void> send_without_copy(stream& to) {
    const sent some = co_await to.send_zero_copy(bytes_of("pinned"));
    CHECK(some.bytes == 6);
}

} // namespace

TEST_CASE("closing: waits for what is in flight, whether it resets or not") {
    for (const bool resets : {false, true}) {
        CAPTURE(resets);
        closing_rig at({}, no_reset_at_once());
        at.run([&]() -> task<void> {
            CHECK(at.part.may_begin());
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(receive_nothing(at.ours));
                co_await sleep_for(1ms);
                if (resets) CHECK(!at.part.reset());
                CHECK(!at.part.may_begin());
                at.connection.cancel_operations(true);
            });
            CHECK(at.part.may_begin());
        });
    }
}

TEST_CASE("closing: one that resets does not wait for a buffer that only the reset frees") {
    for (const bool resets : {false, true}) {
        CAPTURE(resets);
        peer_script silent;
        silent.ack_delay = 50ms;
        closing_rig at(silent, no_reset_at_once());
        at.run([&]() -> task<void> {
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(send_without_copy(at.ours));
                co_await sleep_for(1ms);
                REQUIRE(!at.connection.idle());
                CHECK(at.connection.pins_buffers());
                if (resets) CHECK(!at.part.reset());
                CHECK(at.part.may_begin() == resets);
            });
            CHECK(at.part.may_begin());
        });
    }
}

TEST_CASE("closing: a linger time of the application's does not hold the close up") {
    closing_rig at;
    at.run([&]() -> task<void> {
        CHECK(co_await at.ours.set_linger(5s));
        at.calls.forget();
        at.part.forget_linger();
        CHECK(at.count("setsockopt") == 1);
        at.end();
        at.part.close(); // the simulated kernel complains of one that lingers
        co_await sleep_for(1ms);
        CHECK(at.truth().closed);
        CHECK(!at.truth().reset_sent);
    });
}

TEST_CASE("closing: a linger time of zero would have reset") {
    closing_rig at;
    at.run([&]() -> task<void> {
        CHECK(co_await at.ours.set_option(SOL_SOCKET, SO_LINGER, linger{1, 0}));
        at.part.forget_linger();
        at.end();
        at.part.close();
        co_await sleep_for(1ms);
        CHECK(!at.truth().reset_sent);
        CHECK(at.truth().fin_sent);
    });
}

TEST_CASE("closing: nothing is forgotten where no linger time was set, or the close resets by it") {
    closing_rig untouched;
    untouched.run([&]() -> task<void> {
        untouched.part.forget_linger();
        CHECK(untouched.count("setsockopt") == 0);
        co_return;
    });
    closing_rig at({}, no_reset_at_once());
    at.run([&]() -> task<void> {
        CHECK(co_await at.ours.set_linger(5s));
        CHECK(!at.part.reset());
        at.part.forget_linger();
        at.end();
        at.part.close();
        co_await sleep_for(1ms);
        CHECK(at.truth().reset_sent);
    });
}

TEST_CASE("closing: closes on the ring, joined from then on, and learns the peer's name before") {
    for (const bool by_ring : {true, false}) {
        CAPTURE(by_ring);
        sim_options options = part_rig::calm;
        if (!by_ring) options.missing.add(capability::socket_option_commands);
        closing_rig at({}, options);
        at.run([&]() -> task<void> {
            CHECK(!at.connection.knows_peer());
            at.calls.forget();
            at.end();
            at.part.close();
            CHECK(at.connection.life() == life_phase::joined);
            CHECK(!at.truth().closed);
            CHECK(at.count("getsockopt") == (by_ring ? 0 : 1));
            co_await sleep_for(1ms);
            CHECK(at.truth().closed);
            CHECK(at.count("close") == 0);
            CHECK(at.connection.idle());
            CHECK(at.connection.peer().port() == 20'000);
        });
    }
}

TEST_CASE("closing: a name that is known is not asked for") {
    for (const bool known : {false, true}) {
        CAPTURE(known);
        closing_rig at;
        at.run([&]() -> task<void> {
            CHECK(co_await noop()); // behind what every run begins with
            if (known) at.connection.learn_peer();
            const auto asked = at.count("getsockopt");
            at.end();
            const auto before = at.loop.statistics().submitted;
            at.part.close();
            CHECK(co_await noop());
            CHECK(at.loop.statistics().submitted - before == (known ? 2 : 3)); // noop, close, name
            CHECK(at.count("getsockopt") == asked);
        });
    }
}

TEST_CASE("closing: the open descriptor is handed out once, to whoever asks first") {
    closing_rig at;
    at.run([&]() -> task<void> {
        const int fd = at.connection.descriptor();
        at.end();
        at.part.leave_open();
        CHECK(at.connection.life() == life_phase::joined);
        CHECK(!at.part.may_begin());
        co_await sleep_for(1ms);
        CHECK(at.connection.idle());
        CHECK(at.connection.peer().port() == 20'000);
        CHECK(!at.part.take_descriptor()); // it is still the connection's
        at.part.hand_out();
        unique_descriptor taken = at.part.take_descriptor();
        CHECK(taken.get() == fd);
        CHECK(!at.part.take_descriptor());
        CHECK(!at.truth().closed);
        at.calls.forget();
        taken.reset();
        CHECK(at.truth().closed);
        CHECK(at.count("close") == 1); // of the loop's kernel, not of Linux
    });
}

TEST_CASE("closing: a descriptor that nobody takes is closed with it") {
    closing_rig at;
    at.run([&]() -> task<void> {
        at.end();
        at.part.leave_open();
        co_await sleep_for(1ms);
        at.part.hand_out();
        CHECK(!at.truth().closed);
    });
    at.ours = {};
    CHECK(at.truth().closed);
}

TEST_CASE("closing: a close in place tells its error") {
    sim_options options = part_rig::calm;
    options.close_error = EIO;
    closing_rig at({}, options);
    at.run([&]() -> task<void> {
        at.end();
        at.part.close_in_place();
        CHECK(at.part.error() == std::errc::io_error);
        co_return;
    });
}
