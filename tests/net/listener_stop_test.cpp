#include <atomic>
#include <chrono>
#include <latch>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/net/connect.hpp>
#include <ringdown/net/listener.hpp>
#include <ringdown/runtime/scope.hpp>

#include "support/denying_system.hpp"
#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

namespace {

/// Accepts until that ends, echoing one byte to each; why it ended.
task<std::error_code> serve(listener& from, int& served) {
    for (;;) {
        auto next = co_await from.accept();
        if (!next) co_return next.error();
        const auto asked = co_await read_some(*next, 1);
        CHECK(co_await next->send(bytes_of(asked)));
        CHECK(co_await next->shutdown_send());
        ++served;
    }
}

} // namespace

TEST_CASE("stop: everyone who waits in the kernel's queue is served, newcomers are refused") {
    test_loop on;
    on.run([&]() -> task<void> {
        for (const bool accepting : {false, true}) {
            listener from(on.loop, any_port());
            int served = 0;
            std::optional<std::error_code> end;
            std::vector<peer> clients;
            co_await with_scope([&](scope& inside) -> task<void> {
                if (accepting) {
                    inside.spawn(store(serve(from, served), end));
                    co_await turns(2);
                }
                clients = connect_many(from.local(), 100);
                for (auto& each : clients)
                    each.write("x");
                const address at = from.local();
                CHECK(co_await from.stop());
                CHECK(co_await from.stop());
                CHECK((co_await connect(on.loop, at)).error() == std::errc::connection_refused);
                if (!accepting) inside.spawn(store(serve(from, served), end));
                while (!end)
                    co_await turns(1);
            });
            CHECK(served == 100);
            CHECK(*end == errc::ending);
            CHECK(from.accepted() == 100);
            for (auto& each : clients)
                CHECK(each.read() == "x");
        }
    });
}

TEST_CASE("stop: unix: whoever could connect is served, also those that came as it stopped") {
    allow_descriptors(); // for six times 300 clients
    test_loop on;
    on.run([&]() -> task<void> {
        for (int round = 0; round < 20; ++round) {
            listener from(on.loop, std::make_shared<listening_socket>(*address::parse(
                                       "unix:@stop-" + std::to_string(::getpid()))));
            const address at = from.local();
            int served = 0;
            std::atomic<int> connected = 0;
            std::atomic<int> answered = 0;
            std::atomic<bool> over = false;
            // As fast as it can, until it is refused: some come in the breath of the stop.
            const auto connect_on = [&] {
                std::vector<peer> all;
                while (!over && all.size() < 300) {
                    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                    if (::connect(fd, at.data(), at.size()) != 0) {
                        ::close(fd);
                        break;
                    }
                    ++connected;
                    all.emplace_back(fd).write("x");
                }
                for (auto& each : all)
                    answered += each.read() == "x";
            };
            std::vector<std::jthread> clients;
            for (int i = 0; i < 6; ++i)
                clients.emplace_back(connect_on);
            std::optional<std::error_code> end;
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(store(serve(from, served), end));
                while (served < 30)
                    co_await turns(1);
                CHECK(co_await from.stop());
                while (!end)
                    co_await turns(1);
            });
            over = true;
            clients.clear(); // joined
            CHECK(connected == answered);
            CHECK(served == connected);
        }
    });
}

TEST_CASE("stop: without a descriptor left it says so, and serves the rest later") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port());
        const auto clients = connect_many(from.local(), 10);
        {
            const descriptor_limit three(3);
            CHECK((co_await from.stop()).error() == std::errc::too_many_files_open);
        }
        CHECK(co_await from.stop());
        for (int i = 0; i < 10; ++i)
            CHECK(co_await from.accept());
        CHECK((co_await from.accept()).error() == errc::ending);
    });
}

TEST_CASE("stop: closed in its midst, it is answered") {
    denying_system calls;
    calls.deny_sock_diag(); // so that it waits for handshakes
    test_loop on({.calls = &calls});
    on.run([&]() -> task<void> {
        for (const bool hand_over : {false, true}) {
            listener from(on.loop, any_port());
            std::optional<result<refusal>> stopped;
            std::optional<result<void>> left;
            co_await with_scope([&](scope& inside) -> task<void> {
                if (hand_over)
                    inside.spawn(store(from.hand_over(), left));
                else
                    inside.spawn(store(from.stop({.within = 1h, .uncounted = 1h}), stopped));
                co_await turns(hand_over ? 0 : 20);
                from.close();
                inside.cancel();
            });
            CHECK((hand_over ? left->has_value() : stopped->has_value()));
            CHECK((co_await from.accept()).error() == errc::ending);
        }
    });
}

TEST_CASE("hand over: who an armed accept was woken for is taken") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto shared = any_port();
        listener first(on.loop, shared);
        listener second(on.loop, shared);
        CHECK(first.leave_to_others());
        CHECK_FALSE(second.leave_to_others());
        std::optional<result<stream>> one, other;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(store(first.accept(), one));
            co_await turns(2);
            inside.spawn(store(second.accept(), other));
            co_await turns(2);
            // The first one has waited longest, so it is woken; it must not go without looking.
            auto client = connect_peer(first.local());
            CHECK(co_await first.hand_over());
            co_await turns(2);
            CHECK((one->has_value() || (other && other->has_value())));
            CHECK(co_await second.stop());
        });
        CHECK(first.accepted() + second.accepted() == 1);
    });
}

TEST_CASE("stop: in a cancelled scope it stops all the same") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port());
        auto client = connect_peer(from.local());
        CHECK(co_await from.accept());
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.cancel();
            CHECK(co_await from.stop());
        });
        CHECK((co_await from.accept()).error() == errc::ending);
    });
}

TEST_CASE("listener: one of two that share a socket stops, the other waits without spinning") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto shared = any_port();
        listener first(on.loop, shared);
        listener second(on.loop, shared);
        std::optional<result<stream>> got;
        co_await with_scope([&](scope& inside) -> task<void> {
            CHECK(co_await first.stop());
            inside.spawn(store(second.accept(), got));
            CHECK(co_await enters_during(on.loop, 20ms) < 20);
            CHECK(co_await second.stop());
        });
        CHECK(got->error() == errc::ending);
    });
}

TEST_CASE("listener: two loops in two threads share one socket, and everyone is served") {
    const leak_guard unchanged;
    const auto shared = any_port();
    std::atomic<int> accepted = 0;
    std::latch both_listen(2); // one that came when the other has stopped would find it closed
    struct worker {
        loop on;
        event asked_to_stop;
        std::thread thread;
    };
    auto work = [&](worker& own) -> task<void> {
        listener from(own.on, shared);
        both_listen.count_down();
        int served = 0;
        std::optional<std::error_code> end;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(store(serve(from, served), end));
            co_await own.asked_to_stop.wait();
            CHECK(co_await from.stop());
        });
        CHECK(*end == errc::ending);
        accepted += served;
    };
    worker workers[2];
    for (auto& each : workers)
        each.thread = std::thread([&] { each.on.run(work(each)); });
    both_listen.wait();
    auto clients = connect_many(shared->local(), 200);
    for (auto& each : clients)
        each.write("x");
    for (auto& each : workers)
        each.on.post([&] { each.asked_to_stop.set(); });
    for (auto& each : workers)
        each.thread.join();
    for (auto& each : clients)
        CHECK(each.read() == "x");
    CHECK(accepted == 200);
}
