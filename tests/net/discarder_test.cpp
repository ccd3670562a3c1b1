#include <ringdown/net/internal/discard.hpp>

#include <doctest/doctest.h>

#include <ringdown/net/internal/message_receive.hpp>
#include <ringdown/net/internal/reset.hpp>

#include "support/fixture_net.hpp"
#include "support/packets.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Dropping on unix sockets, which copy what they drop; messages, of which an empty one is no end.

namespace {

connection& adopt_unix(loop& on, int fd, transport_traits traits) {
    return connection::adopt(on, fd, {.traits = traits, .peer = {}});
}

// An ending that takes no step: the test does.
struct still_ending final : ending_driver {
    void changed() noexcept override {}
};

/// Until it has been told of everything: what a unix peer did is there at once.
task<void> settle() { co_await turns(20); }

} // namespace

TEST_CASE("discarder: messages are dropped whole, and an empty one is no end") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [fd, theirs] = packet_pair();
        mark_messages(on.loop.calls(), fd);
        connection& connection = adopt_unix(on.loop, fd, transports::unix_packets);
        packet_stream ours(connection);
        CHECK(theirs.send("12345") == 0);
        CHECK(theirs.send("") == 0);
        CHECK(theirs.send("678") == 0);
        connection.stop_receiving(8);
        co_await settle();
        CHECK(connection.bytes().discarded == 8);
        CHECK(connection.receiving() == receiving_phase::discarding);
        CHECK(theirs.send("") == 0); // no byte, so no cap is passed
        co_await settle();
        CHECK(connection.receiving() == receiving_phase::discarding);
        CHECK(ours.native_handle() >= 0);
        theirs.finish();
        co_await settle();
        CHECK(connection.receiving() == receiving_phase::finished);
        CHECK(!connection.end_told()); // something was dropped before it
    });
}

TEST_CASE("discarder: an empty message before the end is one that was dropped") {
    for (const bool sends : {false, true}) {
        CAPTURE(sends);
        test_loop on;
        on.run([&]() -> task<void> {
            auto [fd, theirs] = packet_pair();
            mark_messages(on.loop.calls(), fd);
            connection& connection = adopt_unix(on.loop, fd, transports::unix_packets);
            const packet_stream ours(connection);
            if (sends) CHECK(theirs.send("") == 0);
            connection.stop_receiving(8);
            theirs.finish();
            co_await settle();
            CHECK(connection.receiving() == receiving_phase::finished);
            CHECK(connection.end_told() == !sends);
        });
    }
}

TEST_CASE("discarder: a message that passes the cap ends the connection, and is counted whole") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [fd, theirs] = packet_pair();
        mark_messages(on.loop.calls(), fd);
        connection& connection = adopt_unix(on.loop, fd, transports::unix_packets);
        const connection_ref kept(connection);
        packet_stream ours(connection);
        connection.stop_receiving(8);
        CHECK(theirs.send(std::string(1'000, 'x')) == 0);
        co_await settle();
        CHECK(connection.bytes().discarded == 1'000);
        CHECK(connection.life() == life_phase::closed);
    });
}

TEST_CASE("discarder: a unix stream is dropped through a buffer, to the byte") {
    constexpr std::uint64_t large = 150'000; // more than the buffer
    test_loop on;
    on.run([&]() -> task<void> {
        auto made = unix_pair();
        connection& connection = adopt_unix(on.loop, made.ours, transports::unix_stream);
        const connection_ref kept(connection);
        stream ours(connection);
        connection.stop_receiving(large);
        made.theirs.write_pattern(large);
        co_await settle();
        CHECK(connection.bytes().discarded == large);
        CHECK(connection.life() == life_phase::open);
        made.theirs.write_pattern(1);
        co_await settle();
        CHECK(connection.bytes().discarded == large + 1);
        CHECK(connection.life() == life_phase::closed);
    });
}

TEST_CASE("discarder: of many bytes too many on a unix stream it takes one") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto made = unix_pair();
        connection& connection = adopt_unix(on.loop, made.ours, transports::unix_stream);
        const connection_ref kept(connection);
        stream ours(connection);
        made.theirs.write_pattern(5'000);
        connection.stop_receiving(10);
        co_await settle();
        CHECK(connection.bytes().discarded == 11);
        CHECK(connection.life() == life_phase::closed);
    });
}

TEST_CASE("discarder: the end that our own abort brings is not told as the peer's") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto made = unix_pair();
        connection& connection = adopt_unix(on.loop, made.ours, transports::unix_stream);
        stream ours(connection);
        connection.stop_receiving(8);
        co_await settle();
        CHECK(!connection.idle());
        connection.set_ending(*new still_ending); // the connection owns it
        connection.enter(life_phase::aborting);
        const int reset = reset_now(connection); // a receive in flight answers 0
        co_await settle();
        const bool idle = connection.idle();
        connection.enter(life_phase::joined);
        on.loop.calls().close(connection.descriptor());
        connection.closed([](connection_follower&) {});
        // Only now, because what fails may end the case.
        CHECK(reset == 0);
        CHECK(idle);
        CHECK(connection.receiving() == receiving_phase::discarding);
        CHECK(!connection.end_told());
    });
}
