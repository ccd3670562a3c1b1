#include <array>
#include <string>
#include <tuple>
#include <vector>

#include "support/still_world.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

// Combinators over the operations of net/ and shutdown/, which they take as the verbs make them.

TEST_CASE("with_deadline: a receive is cancelled at the deadline, and the next one goes on") {
    still_world world;
    world.run([&]() -> task<void> {
        peer_script late;
        late.pause(50ms).write("late");
        stream ours = world.connect(late);
        std::array<std::byte, 8> into{};
        const auto begun = world.on.now();
        const auto none = co_await with_deadline(begun + 20ms, ours.recv(into));
        REQUIRE(!none);
        CHECK(none.error() == errc::deadline_passed);
        check_exact(world.on.now() - begun, 20ms);
        const auto got = co_await with_deadline(begun + 1s, ours.recv(into));
        REQUIRE(got);
        CHECK(*got == 4);
        check_exact(world.on.now() - begun, 50ms);
        co_await abort_close(ours);
    });
}

TEST_CASE("with_deadline: a lease, a send and an option are answered in time") {
    still_world world;
    world.run([&]() -> task<void> {
        peer_script writes;
        writes.write("bytes");
        stream ours = world.connect(writes);
        const auto until = world.on.now() + 1s;
        {
            const auto held = co_await with_deadline(until, ours.recv_lease());
            REQUIRE(held);
            CHECK(held->size() == 5);
        }
        const sent all = co_await with_deadline(until, ours.send(bytes_of("an answer")));
        CHECK(all.bytes == 9);
        std::string text = "in parts";
        const iovec part{text.data(), text.size()};
        const sent parts = co_await with_deadline(until, ours.send_vectored({&part, 1}));
        CHECK(parts.bytes == 8);
        CHECK(co_await with_deadline(until, ours.set_linger(1s)));
        co_await abort_close(ours);
    });
}

TEST_CASE("with_deadline: a send that is cut short tells how much the kernel accepted") {
    still_world world;
    world.run([&]() -> task<void> {
        peer_script reads_nothing;
        reads_nothing.read_bytes = 0;
        stream ours = world.connect(reads_nothing);
        const std::vector<std::byte> large(1 << 20);
        const sent cut = co_await with_deadline(world.on.now() + 20ms, ours.send(large));
        CHECK(cut.error == std::errc::operation_canceled);
        CHECK(cut.bytes > 0);
        CHECK(cut.bytes < large.size());
        CHECK(cut.bytes == ours.bytes().sent);
        co_await abort_close(ours);
    });
}

TEST_CASE("when_all: a sleep and a receive, side by side") {
    still_world world;
    world.run([&]() -> task<void> {
        peer_script writes;
        writes.pause(5ms).write("bytes");
        stream ours = world.connect(writes);
        std::array<std::byte, 8> into{};
        const auto begun = world.on.now();
        auto [slept, got] = co_await when_all(sleep_for(30ms), ours.recv(into));
        CHECK(slept);
        REQUIRE(got);
        CHECK(*got == 5);
        check_exact(world.on.now() - begun, 30ms);
        co_await abort_close(ours);
    });
}

TEST_CASE("when_any: the first of a receive, an event and the peer's end; the others are joined") {
    for (const bool writes : {true, false}) {
        CAPTURE(writes);
        still_world world;
        world.run([&]() -> task<void> {
            peer_script peer;
            peer.pause(5ms);
            if (writes)
                peer.write("bytes").pause(1h);
            else
                peer.reset();
            stream ours = world.connect(peer);
            event never;
            auto any = co_await when_any(ours.recv_lease(), never.wait(), peer_closed(ours),
                                         sleep_for(1h));
            CHECK(std::get<1>(any.values)->error() == std::errc::operation_canceled);
            CHECK(std::get<3>(any.values)->error() == std::errc::operation_canceled);
            auto& received = *std::get<0>(any.values);
            auto& end = *std::get<2>(any.values);
            if (writes) {
                CHECK(any.first == 0);
                REQUIRE(received);
                CHECK(received->size() == 5);
                CHECK(end.error() == std::errc::operation_canceled);
            } else {
                CHECK(!received);
                REQUIRE(end);
                CHECK(*end == peer_end::reset);
            }
            CHECK(world.on.operations_in_flight() == 0);
        });
    }
}

TEST_CASE("when_all: two endings, whose reports are answered by value") {
    still_world world;
    world.run([&]() -> task<void> {
        peer_script closes;
        closes.await_fin().close();
        stream one = world.connect(closes);
        stream other = world.connect(closes);
        auto [first, second] = co_await when_all(graceful_close(one), abort_close(other));
        CHECK(first.ending == actual_ending::graceful);
        CHECK(second.reset_sent);
    });
    CHECK(world.reports.size() == 2);
}
