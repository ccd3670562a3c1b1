#include <chrono>

#include <linux/tcp.h>
#include <netinet/in.h>

#include <doctest/doctest.h>

#include <ringdown/runtime/scope.hpp>

#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

TEST_CASE("options: what was set is read back, on the ring or in place") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        CHECK(co_await here.set_option(SOL_SOCKET, SO_KEEPALIVE, 1));
        CHECK(*co_await here.get_option<int>(SOL_SOCKET, SO_KEEPALIVE) == 1);
        CHECK(co_await here.set_option(IPPROTO_TCP, TCP_NODELAY, 1));
        CHECK(*co_await here.get_option<int>(IPPROTO_TCP, TCP_NODELAY) == 1);
        CHECK(*co_await here.get_option<int>(SOL_SOCKET, SO_TYPE) == SOCK_STREAM);
        const auto info = co_await here.get_option<tcp_info>(IPPROTO_TCP, TCP_INFO);
        REQUIRE(info);
        CHECK(info->tcpi_state == 1);
    });
}

TEST_CASE("options: what the kernel does not know is an error") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        CHECK((co_await here.set_option(SOL_SOCKET, 9999, 1)).error() ==
              std::errc::no_protocol_option);
        CHECK((co_await here.get_option<int>(SOL_SOCKET, 9999)).error() ==
              std::errc::no_protocol_option);
        CHECK(!co_await here.set_option(SOL_SOCKET, SO_KEEPALIVE, char{1}));
    });
}

TEST_CASE("options: set_linger turns kernel linger on and off") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        CHECK(co_await here.set_linger(7s));
        auto now = *co_await here.get_option<linger>(SOL_SOCKET, SO_LINGER);
        CHECK(now.l_onoff == 1);
        CHECK(now.l_linger == 7);
        CHECK(co_await here.set_linger(0s));
        now = *co_await here.get_option<linger>(SOL_SOCKET, SO_LINGER);
        CHECK(now.l_onoff == 1);
        CHECK(now.l_linger == 0);
        CHECK(co_await here.set_linger(-1s));
        CHECK((co_await here.get_option<linger>(SOL_SOCKET, SO_LINGER))->l_onoff == 0);
    });
}

TEST_CASE("options: in a cancelled scope they are not set") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.cancel();
            CHECK((co_await here.set_option(SOL_SOCKET, SO_KEEPALIVE, 1)).error() ==
                  std::errc::operation_canceled);
        });
        CHECK(*co_await here.get_option<int>(SOL_SOCKET, SO_KEEPALIVE) == 0);
    });
}
