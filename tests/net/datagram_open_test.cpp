#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/net/datagram.hpp>
#include <ringdown/net/stream.hpp>

#include "support/fixture_net.hpp"
#include "support/packets.hpp"

using namespace ringdown;
using namespace ringdown::testing;

namespace {

datagram_socket opened(loop& on, const datagram_options& options) {
    auto made = open_datagrams(on, options);
    REQUIRE(made);
    return std::move(*made);
}

} // namespace

TEST_CASE("datagrams: addresses that cannot be are refused, and leave no descriptor") {
    test_loop on;
    on.run([&]() -> task<void> {
        udp_peer taken;
        CHECK(open_datagrams(on.loop, {.local = taken.local()}).error() ==
              std::errc::address_in_use);
        CHECK(open_datagrams(on.loop, {.local = *address::parse("127.0.0.1:0"),
                                       .peer = *address::parse("[::1]:9")})
                  .error() == std::errc::address_family_not_supported);
        CHECK(open_datagrams(on.loop, {.local = *address::parse("unix:@ringdown-datagrams")})
                  .error() == std::errc::address_family_not_supported);
        co_return;
    });
}

TEST_CASE("datagrams: sockets that allow it share a port") {
    test_loop on;
    on.run([&]() -> task<void> {
        datagram_options shared{.local = *address::parse("127.0.0.1:0"), .reuse_port = true};
        auto first = opened(on.loop, shared);
        shared.local = first.local();
        auto second = opened(on.loop, shared);
        CHECK(first.local() == second.local());
        shared.reuse_port = false;
        CHECK(!open_datagrams(on.loop, shared));
        co_return;
    });
}

TEST_CASE("datagrams: adopt takes UDP sockets, connected or not, and leaves others alone") {
    test_loop on;
    on.run([&]() -> task<void> {
        udp_peer there;
        const int plain = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        auto unconnected = adopt_datagrams(on.loop, plain);
        REQUIRE(unconnected);
        CHECK(unconnected->peer().text() == "0.0.0.0:0");
        CHECK((::fcntl(plain, F_GETFL) & O_NONBLOCK) == 0);

        const int six = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        udp_peer there_six(true);
        const address to = there_six.local();
        REQUIRE(::connect(six, to.data(), to.size()) == 0);
        auto made = adopt_datagrams(on.loop, six);
        REQUIRE(made);
        CHECK(made->peer() == to);
        on.loop.post([&] { there_six.send_to("", made->local()); });
        CHECK(co_await next(*made) == "''");

        auto packets = packet_pair();
        auto tcp = tcp_pair();
        int unix_datagrams[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM, 0, unix_datagrams) == 0);
        for (const int other : {packets.ours, tcp.ours, unix_datagrams[0]}) {
            CHECK(adopt_datagrams(on.loop, other).error() == std::errc::protocol_not_supported);
            CHECK(::close(other) == 0);
        }
        ::close(unix_datagrams[1]);
        const int still_plain = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(adopt(on.loop, still_plain).error() == std::errc::protocol_not_supported);
        ::close(still_plain);
    });
}
