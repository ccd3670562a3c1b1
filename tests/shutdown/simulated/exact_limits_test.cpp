#include "support/still_world.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

// Limits of an ending, and what it waits for, where a turn more or a look less would show.

TEST_CASE("punctual: a deadline that is nearer than the next look is kept") {
    still_world world;
    world.run([&]() -> task<void> {
        stream ours = world.connect(peer_script());
        const auto report = co_await graceful_close(ours, {.within = 50us, .idle = 1s});
        CHECK(report.cause == teardown_cause::deadline);
        check_exact(report.microseconds.total, 50us, 20us);
    });
}

TEST_CASE("punctual: idle time counts from the acknowledgement, not from the look that finds it") {
    still_world world;
    world.run([&]() -> task<void> {
        peer_script peer;
        peer.ack_delay = 25ms;
        peer.window = 4'096; // and nobody reads, so nothing more is acknowledged
        peer.read_bytes = 0;
        stream ours = world.connect(peer);
        const std::vector<std::byte> data(10'000);
        const auto sent = co_await ours.send(data);
        CHECK(sent);
        const auto report = co_await graceful_close(ours, {.within = 10s, .idle = 160ms});
        CHECK(report.cause == teardown_cause::idle);
        // The kernel tells in milliseconds how old it is.
        check_exact(report.microseconds.total, 25ms + 160ms, 2ms);
    });
}

TEST_CASE("punctual: a close that waits for the acknowledgement of FIN ends with it") {
    still_world world;
    world.run([&]() -> task<void> {
        peer_script peer;
        peer.ack_delay = 40ms;
        stream ours = world.connect(peer);
        const auto report = co_await close(ours, lingering::wait(10s));
        REQUIRE(report.has_value());
        CHECK(report->ending == actual_ending::delivered);
        check_exact(report->microseconds.total, 40ms);
    });
}
