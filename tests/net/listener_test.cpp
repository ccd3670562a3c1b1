#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/net/connect.hpp>
#include <ringdown/net/listener.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

TEST_CASE("listener: accepts who comes, and knows where it listens and who came") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port());
        CHECK(from.local().port() != 0);
        auto client = connect_peer(from.local());
        auto accepted = co_await from.accept();
        REQUIRE(accepted);
        CHECK(accepted->peer() == client.local());
        CHECK(from.accepted() == 1);
        client.write("hello");
        CHECK(co_await read_some(*accepted) == "hello");
    });
}

TEST_CASE("listener: who comes while it waits is accepted as well") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port());
        peer client;
        on.loop.post([&] { client = connect_peer(from.local()); });
        CHECK(co_await from.accept());
        on.loop.post([&] { client = connect_peer(from.local()); });
        CHECK(co_await from.accept());
    });
}

TEST_CASE("listener: hundreds at once, through small queues, each exactly once") {
    test_loop on({.ring = {.entries = 4, .completion_entries = 4, .disabled = {}}});
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port());
        auto clients = connect_many(from.local(), 300);
        std::set<std::string> expected, seen;
        for (const auto& each : clients)
            expected.insert(each.local().text());
        for (int i = 0; i < 300; ++i) {
            auto next = co_await from.accept();
            REQUIRE(next);
            seen.insert(next->peer().text());
        }
        CHECK(seen == expected);
        CHECK(from.accepted() == 300);
    });
}

TEST_CASE("listener: several tasks may wait for it") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port());
        int served = 0;
        co_await with_scope([&](scope& inside) -> task<void> {
            auto body = [](listener& of, int& count) -> task<void> {
                const auto accepted = co_await of.accept();
                if (accepted) ++count;
            };
            for (int i = 0; i < 10; ++i)
                inside.spawn(body(from, served));
            co_await turns(2);
            const auto clients = connect_many(from.local(), 10);
            while (inside.children() > 0)
                co_await turns(1);
        });
        CHECK(served == 10);
    });
}

TEST_CASE("listener: a cancelled accept leaves the connection to the next one") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port());
        std::vector<peer> clients;
        for (int i = 0; i < 50; ++i) {
            std::optional<result<stream>> got;
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(store(from.accept(), got));
                if (i % 2) co_await turns(1);
                clients.push_back(connect_peer(from.local()));
                inside.cancel();
            });
            REQUIRE(got);
            if (!*got) {
                CHECK(got->error() == std::errc::operation_canceled);
                CHECK(co_await from.accept());
            }
        }
        CHECK(from.accepted() == 50);
    });
}

TEST_CASE("listener: without a descriptor left it says so, and goes on later") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port());
        auto clients = connect_many(from.local(), 5);
        {
            const descriptor_limit two(2);
            std::vector<stream> kept;
            for (int i = 0; i < 2; ++i)
                kept.push_back(*co_await from.accept());
            for (int i = 0; i < 2; ++i)
                CHECK((co_await from.accept()).error() == std::errc::too_many_files_open);
        }
        for (int i = 0; i < 3; ++i)
            CHECK(co_await from.accept());
        CHECK(from.accepted() == 5);
    });
}

TEST_CASE("listener: a connection that was reset before it was accepted leaks no descriptor") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port());
        for (int i = 0; i < 20; ++i)
            connect_peer(from.local()).reset();
        auto last = connect_peer(from.local());
        last.write("last");
        int resets = 0;
        for (;;) {
            auto next = co_await from.accept();
            REQUIRE(next);
            std::array<std::byte, 8> into;
            const auto got = co_await next->recv(into);
            if (got) break;
            CHECK(got.error() == std::errc::connection_reset);
            ++resets;
        }
        CHECK(resets <= 20);
    });
}

TEST_CASE("listener: destroyed, it aborts those that nobody asked for, and listens no more") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto from = std::make_optional<listener>(on.loop, any_port());
        const address at = from->local();
        auto clients = connect_many(at, 10);
        CHECK(co_await from->accept());
        from.reset();
        co_await turns(5);
        int resets = 0;
        for (auto& each : clients) {
            CHECK(each.read().empty());
            if (each.last_error() == ECONNRESET) ++resets;
        }
        CHECK(resets == 10);
        CHECK((co_await connect(on.loop, at)).error() == std::errc::connection_refused);
    });
}

TEST_CASE("listener: the end of the run ends an accept that waits") {
    test_loop on;
    std::optional<listener> from(std::in_place, on.loop, any_port());
    std::error_code told;
    on.run([&]() -> task<void> {
        on.loop.spawn([](listener& of, std::error_code& why) -> task<void> {
            why = (co_await of.accept()).error();
        }(*from, told));
        co_await turns(2);
    });
    CHECK(told == std::errc::operation_canceled);
    // And it serves the next run.
    on.run([&]() -> task<void> {
        auto client = connect_peer(from->local());
        CHECK(co_await from->accept());
    });
    from.reset();
}

TEST_CASE("listener: one that never accepted, and no run, leave nothing behind") {
    test_loop on;
    const listener from(on.loop, any_port());
}

TEST_CASE("listener: a descriptor handed over in non-blocking mode is waited for, not polled") {
    test_loop on;
    on.run([&]() -> task<void> {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        REQUIRE(::listen(fd, 10) == 0);
        listener from(on.loop, std::make_shared<listening_socket>(fd));
        std::optional<result<stream>> got;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(store(from.accept(), got));
            CHECK(co_await enters_during(on.loop, 20ms) < 20);
            auto client =
                connect_peer(*address::parse("127.0.0.1:" + std::to_string(from.local().port())));
            while (!got)
                co_await turns(1);
        });
        CHECK(*got);
    });
}

TEST_CASE("listening_socket: an address in use is named") {
    const leak_guard unchanged;
    const auto taken = any_port();
    try {
        const listening_socket again(taken->local());
        FAIL("bound twice");
    } catch (const std::system_error& refused) {
        CHECK(refused.code() == std::errc::address_in_use);
        CHECK(std::string(refused.what()).find(taken->local().text()) != std::string::npos);
    }
    const listening_socket one(*address::parse("127.0.0.1:0"), {.reuse_port = true});
    const listening_socket two(one.local(), {.reuse_port = true});
    CHECK(two.local() == one.local());
}

TEST_CASE("listening_socket: takes over a descriptor that listens, refuses one that does not") {
    const leak_guard unchanged;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_THROWS_AS(listening_socket{fd}, std::system_error);
    CHECK(::fcntl(fd, F_GETFD) >= 0); // still the caller's
    CHECK_THROWS_AS(listening_socket{-1}, std::system_error);
    REQUIRE(::listen(fd, 1) == 0);
    const linger set{.l_onoff = 1, .l_linger = 5};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &set, sizeof set);
    const listening_socket taken(fd);
    CHECK(taken.descriptor() == fd);
    CHECK(taken.traits() == transports::tcp);
    linger now{};
    socklen_t bytes = sizeof now;
    ::getsockopt(fd, SOL_SOCKET, SO_LINGER, &now, &bytes);
    CHECK(now.l_onoff == 0);
}

TEST_CASE("listening_socket: a descriptor that listens for neither TCP nor unix is refused") {
    constexpr int mptcp = 262;
    const leak_guard unchanged;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, mptcp);
    if (fd < 0) {
        MESSAGE("skip: no MPTCP here");
        return;
    }
    REQUIRE(::listen(fd, 1) == 0);
    try {
        const listening_socket refused(fd);
        CHECK(false);
    } catch (const std::system_error& why) {
        CHECK(why.code() == std::errc::protocol_not_supported);
        CHECK(std::string(why.what()).starts_with("descriptor " + std::to_string(fd) + " listens"));
    }
    ::close(fd);
}
