#include <array>

#include "discarder_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// What is dropped for an ending, how much and when. What keeps messages or copies what it drops is
// in tests/net/discarder_test.cpp.

namespace {

task<void> receive_into(stream& from, std::size_t& got) {
    std::array<std::byte, 64> into{};
    const auto some = co_await from.recv(into);
    CHECK(some);
    got = some.value_or(0);
}

} // namespace

TEST_CASE("discarder: the cap holds exactly, and shows by one byte") {
    for (const std::uint64_t cap : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1'000}}) {
        CAPTURE(cap);
        discarder_rig at(peer_script().write(cap).pause(10ms).write(1).pause(10ms).write(500));
        at.run([&]() -> task<void> {
            at.drop(cap);
            co_await sleep_for(5ms);
            CHECK(at.discarded() == cap);
            CHECK(!at.part.over_limit());
            CHECK(at.part.in_flight());
            co_await sleep_for(10ms);
            CHECK(at.discarded() == cap + 1);
            CHECK(at.part.over_limit());
            co_await sleep_for(10ms);
            CHECK(at.discarded() == cap + 1);
            CHECK(!at.part.error());
        });
    }
}

TEST_CASE("discarder: of many bytes too many it takes one") {
    discarder_rig at(peer_script().write(5'000));
    at.run([&]() -> task<void> {
        co_await sleep_for(1ms);
        at.drop(10);
        co_await sleep_for(1ms);
        CHECK(at.discarded() == 11);
        CHECK(at.part.over_limit());
        CHECK(at.truth().taken == 11);
    });
}

TEST_CASE("discarder: a cap beyond what one receive drops is kept as well") {
    constexpr std::uint64_t cap = (2 << 20) + 5;
    peer_script floods;
    floods.receive_capacity = 8 << 20;
    discarder_rig at(floods.write(8 << 20));
    at.run([&]() -> task<void> {
        co_await sleep_for(10ms);
        at.drop(cap);
        co_await sleep_for(10ms);
        CHECK(at.discarded() == cap + 1);
        CHECK(at.part.over_limit());
    });
}

TEST_CASE("discarder: the largest number is no cap, and looks like no end") {
    discarder_rig at(peer_script().write(300'000).pause(10ms).write(7));
    at.run([&]() -> task<void> {
        at.drop(no_limit);
        co_await sleep_for(30ms);
        CHECK(at.discarded() == 300'007);
        CHECK(!at.part.over_limit());
        CHECK(at.connection.receiving() == receiving_phase::discarding);
        CHECK(at.part.in_flight());
    });
}

TEST_CASE("discarder: a limit counts from when it is set") {
    discarder_rig at(peer_script().write(100).pause(10ms).write(50).pause(10ms).write(1));
    at.run([&]() -> task<void> {
        at.drop(100);
        co_await sleep_for(5ms);
        CHECK(at.discarded() == 100);
        at.part.set_limit(50);
        co_await sleep_for(10ms);
        CHECK(at.discarded() == 150);
        CHECK(!at.part.over_limit());
        co_await sleep_for(10ms);
        CHECK(at.part.over_limit());
    });
}

TEST_CASE("discarder: what is dropped freely does not count, not even afterwards") {
    discarder_rig at(peer_script().write(5'000).pause(10ms).write(10).pause(10ms).write(1));
    at.run([&]() -> task<void> {
        at.part.set_free(true);
        at.drop(10);
        co_await sleep_for(5ms);
        CHECK(at.discarded() == 5'000);
        CHECK(!at.part.over_limit());
        at.part.set_free(false);
        CHECK(!at.part.over_limit());
        co_await sleep_for(10ms);
        CHECK(at.discarded() == 5'010);
        CHECK(!at.part.over_limit());
        co_await sleep_for(10ms);
        CHECK(at.part.over_limit());
    });
}

TEST_CASE("discarder: freely means in large pieces, whatever the cap is") {
    discarder_rig at(peer_script().write(50'000));
    at.run([&]() -> task<void> {
        co_await sleep_for(1ms);
        at.part.set_free(true);
        at.drop(0);
        CHECK(co_await noop());
        CHECK(at.discarded() == 50'000); // by one receive
    });
}

TEST_CASE("discarder: drops nothing while the application may receive, and one at a time") {
    discarder_rig at(peer_script().pause(1ms).write(100));
    at.run([&]() -> task<void> {
        at.part.set_limit(1'000);
        at.part.step();
        CHECK(!at.part.in_flight());
        at.connection.enter(receiving_phase::discarding);
        at.part.step();
        at.part.step();
        CHECK(at.loop.operations_in_flight() == 1);
        co_await sleep_for(5ms);
        CHECK(at.discarded() == 100);
        CHECK(!at.part.in_flight()); // nobody steps
    });
}

TEST_CASE("discarder: comes behind a receive of the application's, whose bytes are older") {
    discarder_rig at(peer_script().pause(1ms).write("older").pause(1ms).write("newer one"));
    at.run([&]() -> task<void> {
        std::size_t got = 0;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(receive_into(at.ours, got));
            CHECK(co_await noop());
            at.drop(1'000);
            CHECK(!at.part.in_flight());
            co_await sleep_for(10ms);
        });
        CHECK(got == 5);
        CHECK(at.discarded() == 9);
    });
}

TEST_CASE("discarder: knows when it last dropped something") {
    discarder_rig at(peer_script().pause(10ms).write(1).pause(10ms).write(1).pause(10ms).finish());
    at.run([&]() -> task<void> {
        const auto begun = at.loop.now();
        at.drop(no_limit);
        co_await sleep_until(begun + 5ms);
        CHECK(at.part.dropped_at() == loop::time_point());
        co_await sleep_until(begun + 15ms);
        CHECK(at.part.dropped_at() >= begun + 10ms);
        CHECK(at.part.dropped_at() < begun + 11ms);
        co_await sleep_until(begun + 40ms); // an end is no byte
        CHECK(at.part.dropped_at() >= begun + 20ms);
        CHECK(at.part.dropped_at() < begun + 21ms);
    });
}
