#include "support/still_world.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

// The listening socket stays open until nothing is in flight on it, and whoever ends what accepts
// is answered after that.

namespace {

// Whatever is cancelled ends a while later.
struct slow_world {
    sim_kernel kernel{{.disturbed = false, .calls_take_time = false, .late_cancel = 1ms}};
    loop on{{.calls = &kernel}};
    std::shared_ptr<listening_socket> socket = std::make_shared<listening_socket>(
        *address::parse("127.0.0.1:0"), listen_options{}, kernel);

    ~slow_world() { CHECK(kernel.violations().empty()); }
};

task<void> stop(listener& from) { co_await from.stop(); }
task<void> run_server(server& serving) { co_await serving.run(); }
task<void> end_gracefully(stream with) { co_await graceful_close(with); }

} // namespace

TEST_CASE("listener: one that is closed as it asks the queue leaves its socket open for that") {
    bool asked = false;
    for (int turns = 0; turns < 20; ++turns) {
        CAPTURE(turns);
        slow_world at;
        at.on.run([](slow_world& here, int wait, bool& waits) -> task<void> {
            listener from(here.on, here.socket);
            here.kernel.disturb();
            here.kernel.fail_accepts(EMFILE, 1'000);
            here.kernel.connect_peer(here.socket->descriptor(), peer_script());
            auto body = [&](scope& inside) -> task<void> {
                inside.spawn(stop(from));
                for (int left = wait; left > 0; --left)
                    co_await noop();
                from.close();
                waits = waits || here.socket->descriptor() >= 0;
                co_await from.join();
                CHECK(here.socket->descriptor() < 0);
                CHECK(here.on.operations_in_flight() == 0);
            };
            co_await with_scope(body);
        }(at, turns, asked));
    }
    CHECK(asked);
}

TEST_CASE("drain: once it has answered, its listening socket is closed, also at the deadline") {
    for (const std::chrono::nanoseconds within : {0ns, 1'000'000'000ns}) {
        CAPTURE(within.count());
        slow_world at;
        server serving(at.on, at.socket, end_gracefully);
        at.on.run(
            [](slow_world& here, server& drained, std::chrono::nanoseconds time) -> task<void> {
                auto body = [&](scope& inside) -> task<void> {
                    inside.spawn(run_server(drained));
                    co_await sleep_for(1ms);
                    co_await drained.drain({.within = time});
                    CHECK(here.socket->descriptor() < 0);
                };
                co_await with_scope(body);
            }(at, serving, within));
    }
}

TEST_CASE("drain: so it is where the server does not run, and a look at the queue is cut short") {
    slow_world at;
    server serving(at.on, at.socket, end_gracefully);
    at.on.run([](slow_world& here, server& drained) -> task<void> {
        co_await with_deadline(here.on.now() + 500us, drained.drain());
        CHECK(drained.phase() == server_phase::drained);
        CHECK(here.socket->descriptor() < 0);
    }(at, serving));
}

TEST_CASE("server: once a run that was cancelled has answered, nothing of it accepts any more") {
    slow_world at;
    server serving(at.on, at.socket, end_gracefully);
    at.on.run([](slow_world& here, server& running) -> task<void> {
        co_await with_deadline(here.on.now() + 1ms, running.run());
        CHECK(here.socket.use_count() == 1);
        CHECK(here.on.operations_in_flight() == 0);
    }(at, serving));
}

TEST_CASE("listener: one that is destroyed before its accepts have ended is left alone by them") {
    slow_world at;
    alignas(listener) std::array<std::byte, sizeof(listener)> room;
    at.on.run([](slow_world& here, std::array<std::byte, sizeof(listener)>& place) -> task<void> {
        auto* const from = new (place.data()) listener(here.on, here.socket);
        const auto none = co_await with_deadline(here.on.now() + 1ms, from->accept());
        CHECK(!none);
        std::destroy_at(from);
        place.fill({});
        CHECK(here.socket.use_count() > 1);
        co_await sleep_for(5ms);
        CHECK(here.socket.use_count() == 1);
    }(at, room));
    CHECK(std::ranges::count(room, std::byte{}) == static_cast<std::ptrdiff_t>(room.size()));
}
