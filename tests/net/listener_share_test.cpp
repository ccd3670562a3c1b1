#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/net/listener.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

// Loops that accept from one socket share what comes.

namespace {

/// A loop on a thread of its own that accepts, and sends each client the first byte of its request
/// back, until it is told to leave.
class worker {
public:
    worker(std::shared_ptr<listening_socket> from, std::size_t ahead)
        : thread_([this, from = std::move(from), ahead] { loop_.run(work(from, ahead)); }) {
        accepts_.acquire();
    }
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;
    ~worker() { leave(); }

    [[nodiscard]] int served() const { return served_; }
    /// Holds the loop up until `go_on`.
    void hold() {
        loop_.post([this] {
            held_.release();
            go_on_.acquire();
        });
        held_.acquire();
    }
    void go_on() { go_on_.release(); }
    /// Leaves newcomers to others, or stops as the last one.
    void leave() {
        if (!thread_.joinable()) return;
        loop_.post([this] { told_.set(); });
        thread_.join();
    }

private:
    task<void> answer(stream client) {
        std::array<std::byte, 1> asked;
        const auto bytes = co_await client.recv(asked);
        if (bytes) (void)co_await client.send(asked);
    }

    task<void> serve(listener& from, scope& inside) {
        for (;;) {
            auto next = co_await from.accept();
            if (!next) break;
            ++served_;
            inside.spawn(answer(std::move(*next)));
        }
    }

    task<void> work(std::shared_ptr<listening_socket> from, std::size_t ahead) {
        listener accepting(loop_, std::move(from), ahead);
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(serve(accepting, inside));
            co_await turns(2);
            accepts_.release();
            co_await told_.join();
            if (accepting.leave_to_others())
                left_ = (co_await accepting.hand_over()).has_value();
            else
                left_ = (co_await accepting.stop()).has_value();
            CHECK(left_);
        });
    }

    loop loop_;
    event told_;
    std::atomic<int> served_ = 0;
    bool left_ = false;
    std::binary_semaphore accepts_{0};
    std::binary_semaphore held_{0};
    std::binary_semaphore go_on_{0};
    std::thread thread_;
};

void until_served(const worker& one, const worker& other, int all) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (one.served() + other.served() < all && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(1ms);
    CHECK(one.served() + other.served() == all);
}

/// The most that one of both gets of so many clients, which connect while both loops are `held`, or
/// one after the other.
int most_of(int clients, worker& one, worker& other, const address& to, bool held) {
    const int before = one.served();
    const int before_other = other.served();
    if (held) one.hold();
    if (held) other.hold();
    const auto connected = connect_many(to, clients);
    if (held) one.go_on();
    if (held) other.go_on();
    until_served(one, other, before + before_other + clients);
    return std::max(one.served() - before, other.served() - before_other);
}

} // namespace

TEST_CASE("share: a burst is shared by two loops, whenever they have joined") {
    const leak_guard unchanged;
    for (const std::size_t ahead : {std::size_t{1000}, listener::unlimited}) {
        CAPTURE(ahead);
        const auto shared = any_port();
        worker first(shared, ahead);
        // Its accept is armed, and has brought somebody, before the other one comes.
        auto early = connect_many(shared->local(), 30);
        worker second(shared, ahead);
        until_served(first, second, 30);
        early.clear();
        for (const bool held : {false, true}) {
            CAPTURE(held);
            for (int i = 0; i < 5; ++i) {
                CHECK(most_of(8, first, second, shared->local(), held) <= 6);
                CHECK(most_of(64, first, second, shared->local(), held) <= 40);
            }
        }
    }
}

TEST_CASE("share: one that leaves in a burst takes nobody with it") {
    const leak_guard unchanged;
    const auto shared = any_port();
    auto stays = std::make_unique<worker>(shared, listener::unlimited);
    int clients = 0;
    int answered = 0;
    for (int i = 0; i < 20; ++i) {
        auto leaves = std::make_unique<worker>(shared, i % 2 ? 4 : listener::unlimited);
        std::vector<peer> burst;
        std::thread connecting([&] {
            burst = connect_many(shared->local(), 40);
            for (auto& each : burst)
                each.write("x");
        });
        // Each in turn is the one that the kernel wakes.
        if (i % 3 == 0) std::swap(stays, leaves);
        leaves->leave();
        connecting.join();
        for (auto& each : burst)
            answered += each.read() == "x";
        clients += 40;
    }
    CHECK(answered == clients);
}

TEST_CASE("share: a loop whose listener is not asked for more than it may keep leaves the rest") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto shared = any_port();
        listener asleep(on.loop, shared, 2);
        listener awake(on.loop, shared, 2);
        const auto clients = connect_many(shared->local(), 40);
        CHECK(co_await asleep.accept());
        for (int i = 0; i < 35; ++i)
            CHECK(co_await awake.accept());
        CHECK(asleep.accepted() <= 5);
    });
}
