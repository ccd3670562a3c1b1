#include "sim_rig.hpp"

#include <ringdown/runtime/buffers.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// What connections hold of the loop's buffers, and which operations they leave with the kernel.

TEST_CASE("recv_lease: a reader that stops holds few buffers, however many messages come") {
    sim_rig at;
    at.run([&]() -> task<void> {
        peer_script peer;
        for (int left = 3; left > 0; --left)
            peer.write(10).pause(1ms);
        for (int left = 200; left > 0; --left)
            peer.write(10).pause(20us);
        stream ours = at.connect(peer.await_fin().finish());
        for (int left = 3; left > 0; --left) {
            const auto got = co_await ours.recv_lease();
            REQUIRE(got.has_value());
        }
        co_await sleep_for(50ms);
        const auto& pool = at.loop.service<buffer_pool>();
        CHECK(pool.available() < pool.count());
        CHECK(pool.available() >= pool.count() - 10);
        co_await abort_close(ours);
    });
}

TEST_CASE("shutdown_receive: leaves one operation with the kernel, that which drops") {
    sim_options options{.disturbed = false};
    options.missing.add(capability::buffer_ring); // a lease waits for data before it has a buffer
    sim_rig at(options);
    at.run([&]() -> task<void> {
        stream ours = at.connect(peer_script().await_fin().finish());
        auto body = [&](scope& inside) -> task<void> {
            inside.spawn([](stream& from) -> task<void> {
                const auto none = co_await from.recv_lease();
                CHECK(!none);
            }(ours));
            co_await sleep_for(1ms);
            const std::size_t waiting = at.kernel.operations_in_flight();
            co_await ours.shutdown_receive();
            co_await sleep_for(1ms);
            CHECK(at.kernel.operations_in_flight() == waiting);
        };
        co_await with_scope(body);
        co_await graceful_close(ours);
    });
}

TEST_CASE("send_zero_copy: is one operation, whatever the kernel has room for") {
    sim_rig at;
    at.run([&]() -> task<void> {
        stream ours = at.connect(peer_script().await_fin().finish());
        const std::vector<std::byte> data(300'000);
        const auto sent = co_await ours.send_zero_copy(data);
        CHECK(sent.bytes == data.size());
        CHECK(at.kernel.truth(0).sends == 1); // since each one has a notification to wait for
        co_await graceful_close(ours);
    });
}
