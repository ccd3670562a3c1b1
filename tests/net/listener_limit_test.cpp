#include <optional>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include <ringdown/net/connect.hpp>
#include <ringdown/net/listener.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;

TEST_CASE("listener: who is not asked for waits in the kernel's queue, but for a few") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port());
        const auto clients = connect_many(from.local(), 100);
        std::vector<stream> served;
        for (int i = 0; i < 4; ++i)
            served.push_back(*co_await from.accept());
        co_await turns(20);
        CHECK(from.accepted() <= 8);
        for (int i = 4; i < 100; ++i)
            served.push_back(*co_await from.accept());
        CHECK(from.accepted() == 100);
    });
}

TEST_CASE("listener: without a limit everyone is taken who waits") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port(), listener::unlimited);
        const auto clients = connect_many(from.local(), 100);
        CHECK(co_await from.accept());
        if (!on.loop.has(capability::multishot_accept)) {
            MESSAGE("skip: single accepts take nobody by themselves");
            co_return;
        }
        co_await turns(2);
        CHECK(from.accepted() == 100);
    });
}

TEST_CASE("listener: a stop serves everyone, though few are taken ahead") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port(), 1);
        const auto clients = connect_many(from.local(), 50);
        CHECK(co_await from.accept());
        CHECK(co_await from.stop());
        CHECK(from.accepted() == 50);
    });
}

TEST_CASE("listener: a limit that was set holds for a stop too, until it is raised") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port(), 1);
        const auto clients = connect_many(from.local(), 20);
        from.limit(3);
        CHECK((co_await from.stop()).error() == errc::connection_limit);
        CHECK(from.accepted() == 3);
        from.limit(10);
        CHECK((co_await from.stop()).error() == errc::connection_limit);
        CHECK(from.accepted() == 10);
        from.limit(21);
        CHECK(co_await from.stop());
        CHECK(from.accepted() == 20);
    });
}

TEST_CASE("listener: a limit that is raised lets those in who wait") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port(), 1);
        from.limit(0);
        const auto clients = connect_many(from.local(), 3);
        std::optional<result<stream>> got;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(store(from.accept(), got));
            co_await turns(20);
            CHECK_FALSE(got);
            CHECK(from.accepted() == 0);
            from.limit(1);
        });
        CHECK(*got);
        CHECK(from.accepted() <= 2);
    });
}

TEST_CASE("listening_socket: an IPv6 address alone, so IPv4 has a server of its own at the port") {
    const leak_guard unchanged;
    const auto any = address::parse("[::]:0");
    REQUIRE(any);
    std::optional<listening_socket> both;
    try {
        both.emplace(*any, listen_options{.ipv6_only = false});
    } catch (const std::system_error&) {
        MESSAGE("skip: no IPv6 here");
        return;
    }
    int only = -1;
    socklen_t bytes = sizeof only;
    ::getsockopt(both->descriptor(), IPPROTO_IPV6, IPV6_V6ONLY, &only, &bytes);
    CHECK(only == 0);
    test_loop on;
    on.run([&]() -> task<void> {
        const auto six =
            std::make_shared<listening_socket>(*any, listen_options{.ipv6_only = true});
        const std::string port = std::to_string(six->local().port());
        const auto four = std::make_shared<listening_socket>(*address::parse("0.0.0.0:" + port));
        listener by_six(on.loop, six);
        listener by_four(on.loop, four);
        const auto client = connect_peer(*address::parse("127.0.0.1:" + port));
        const auto client_of_six = connect_peer(*address::parse("[::1]:" + port));
        CHECK(co_await by_four.accept());
        CHECK(co_await by_six.accept());
        CHECK(by_four.accepted() == 1);
        CHECK(by_six.accepted() == 1);
    });
}

TEST_CASE(
    "listener: a limit that is lifted by a stop is not set any more, and one of all is none") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port());
        CHECK(co_await from.stop());
        from.limit(8);
        listener all(on.loop, any_port(), SIZE_MAX);
        const auto client = connect_peer(all.local());
        CHECK(co_await all.accept());
    });
}

TEST_CASE("listener: a full one stops when nobody waits, and says so when somebody does") {
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port(), 1);
        from.limit(1);
        auto clients = connect_many(from.local(), 1);
        co_await turns(1);
        auto first = co_await from.accept();
        from.limit(0);
        const peer waits = connect_peer(from.local());
        const auto full = co_await from.stop();
        REQUIRE_FALSE(full.has_value());
        CHECK(full.error() == errc::connection_limit);
        from.limit(1);
        CHECK(co_await from.stop()); // takes one, and has no room to look for another
        CHECK(co_await from.accept());
        CHECK((co_await from.accept()).error() == errc::ending);
    });
}
