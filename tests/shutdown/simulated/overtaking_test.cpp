#include "sim_rig.hpp"

#include <array>
#include <string>

using namespace ringdown;
using namespace ringdown::testing;

// What still comes while a connection ends comes once and in its order, to whoever gets it.

namespace {

std::string payload(std::size_t from, std::size_t bytes) {
    std::string text;
    for (std::size_t at = from; at < from + bytes; ++at)
        text += sim_payload(at);
    return text;
}

task<void> receive_once(stream& ours, std::string& got) {
    std::array<char, 64> into;
    const auto bytes = co_await ours.recv(std::as_writable_bytes(std::span(into)));
    if (bytes) got.assign(into.data(), *bytes);
}

task<void> receive_all(stream& ours, std::size_t& received) {
    std::array<std::byte, 16> into;
    for (;;) {
        const auto bytes = co_await ours.recv(into);
        if (!bytes) co_return;
        received += *bytes;
    }
}

task<void> send_often(stream& ours) {
    for (int left = 20; left > 0; --left) {
        const auto sent = co_await ours.send(bytes_of("x"));
        if (!sent) co_return;
    }
}

} // namespace

TEST_CASE("graceful_close: a receive that it meets brings what came next, never what came later") {
    std::size_t brought = 0;
    for (std::uint64_t seed = 1; seed <= 6'000; ++seed) {
        CAPTURE(seed);
        sim_rig at({.seed = seed});
        std::string got;
        at.run([&]() -> task<void> {
            peer_script peer;
            peer.latency = 1us;
            peer.pause(std::chrono::microseconds(seed % 16)).write(100);
            stream ours = at.connect(peer.await_fin().finish());
            auto body = [&](scope& inside) -> task<void> {
                inside.spawn(receive_once(ours, got));
                co_await sleep_for(std::chrono::microseconds(seed / 16 % 16));
                // One byte at first: the rest would be the receive's.
                co_await graceful_close(ours, {.within = 1s, .discard_bytes_max = 0});
            };
            co_await with_scope(body);
        });
        REQUIRE(got == payload(0, got.size()));
        brought += !got.empty();
    }
    CHECK(brought > 100);
}

TEST_CASE("peer_ended: comes behind what a receive in flight brings, in any order of events") {
    std::size_t told = 0;
    for (std::uint64_t seed = 1; seed <= 3'000; ++seed) {
        CAPTURE(seed);
        sim_rig at({.seed = seed});
        std::size_t received = 0;
        at.run([&]() -> task<void> {
            peer_script peer;
            peer.latency = 1us;
            peer.pause(std::chrono::microseconds(seed % 8)).write(10);
            peer.pause(std::chrono::microseconds(seed / 8 % 8)).write(10);
            stream ours = at.connect(peer.finish());
            auto body = [&](scope& inside) -> task<void> {
                inside.spawn(receive_all(ours, received));
                inside.spawn(send_often(ours));
                const auto end = co_await peer_ended(ours);
                REQUIRE(end == peer_end::finished);
                REQUIRE(received == 20);
                ++told;
            };
            co_await with_scope(body);
            co_await abort_close(ours);
        });
    }
    CHECK(told == 3'000);
}
