#include <chrono>
#include <thread>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;

namespace {

/// A descriptor that adopt refuses; it must stay open, and the caller's.
void check_refused(loop& on, int fd, std::errc why) {
    const auto refused = adopt(on, fd);
    REQUIRE(!refused);
    CHECK(refused.error() == why);
    CHECK(::fcntl(fd, F_GETFD) >= 0);
    ::close(fd);
}

// What the kernel calls the state of a socket, once it is that or some seconds have passed.
int tcp_state_of(int fd, int awaited) {
    tcp_info info{};
    for (int looks = 0; looks < 3'000 && info.tcpi_state != awaited; ++looks) {
        if (looks > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        socklen_t bytes = sizeof info;
        ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes);
    }
    return info.tcpi_state;
}

// A connect to a listener that hears nobody, since no segment on loopback has a TTL of 255.
int begin_connect(const address& to) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ::connect(fd, to.data(), to.size());
    return fd;
}

} // namespace

TEST_CASE("adopt: takes over a TCP stream, whichever side connected, and knows its peer") {
    test_loop on;
    on.run([&]() -> task<void> {
        for (const bool we_connect : {false, true}) {
            auto [here, there] = over_tcp(on.loop, {.we_connect = we_connect});
            CHECK(here.peer() == there.local());
            CHECK(here.number() > 0);
            there.write("hello");
            CHECK(co_await read_some(here) == "hello");
        }
    });
}

TEST_CASE("adopt: connections are numbered apart") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto one = over_tcp(on.loop);
        auto two = over_unix(on.loop);
        CHECK(one.here.number() != two.here.number());
        co_return;
    });
}

TEST_CASE("adopt: a non-blocking descriptor waits like any other") {
    test_loop on;
    on.run([&]() -> task<void> {
        for (const bool leased : {false, true}) {
            auto made = tcp_pair();
            ::fcntl(made.ours, F_SETFL, O_NONBLOCK);
            auto [here, there] = converse(on.loop, std::move(made));
            on.loop.post([&] { there.write("late"); });
            CHECK(co_await receive(here, leased) == "late");
        }
    });
}

TEST_CASE("adopt: clears SO_LINGER") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto made = tcp_pair();
        const linger set{.l_onoff = 1, .l_linger = 100};
        REQUIRE(::setsockopt(made.ours, SOL_SOCKET, SO_LINGER, &set, sizeof set) == 0);
        auto [here, there] = converse(on.loop, std::move(made));
        CHECK((co_await here.get_option<linger>(SOL_SOCKET, SO_LINGER))->l_onoff == 0);
    });
}

TEST_CASE("adopt: data and FIN that came before are received") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto made = tcp_pair();
        made.theirs.write("early");
        made.theirs.finish();
        auto [here, there] = converse(on.loop, std::move(made));
        CHECK(co_await read_all(here) == "early");
    });
}

TEST_CASE("adopt: what is no connected stream is refused, and stays the caller's") {
    test_loop on;
    const auto refused = adopt(on.loop, -1);
    CHECK(refused.error() == std::errc::bad_file_descriptor);
    int pipes[2];
    REQUIRE(::pipe(pipes) == 0);
    check_refused(on.loop, pipes[0], std::errc::not_a_socket);
    check_refused(on.loop, pipes[1], std::errc::not_a_socket);
    check_refused(on.loop, ::socket(AF_INET, SOCK_STREAM, 0), std::errc::not_connected);
    check_refused(on.loop, ::socket(AF_UNIX, SOCK_STREAM, 0), std::errc::not_connected);
    check_refused(on.loop, ::socket(AF_INET, SOCK_DGRAM, 0), std::errc::protocol_not_supported);
    int ends[2];
    for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
        REQUIRE(::socketpair(AF_UNIX, type, 0, ends) == 0);
        check_refused(on.loop, ends[0], std::errc::protocol_not_supported);
        check_refused(on.loop, ends[1], std::errc::protocol_not_supported);
    }
    const int listens = ::socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(::listen(listens, 1) == 0);
    check_refused(on.loop, listens, std::errc::not_connected);
}

TEST_CASE("adopt: a stream that is no TCP is refused") {
    constexpr int mptcp = 262;
    test_loop on;
    const int fd = ::socket(AF_INET, SOCK_STREAM, mptcp);
    if (fd < 0) {
        MESSAGE("skip: no MPTCP here");
        return;
    }
    const int listens = ::socket(AF_INET, SOCK_STREAM, mptcp);
    REQUIRE(::listen(listens, 1) == 0);
    address at = *address::parse("127.0.0.1:0");
    socklen_t bytes = address::capacity;
    REQUIRE(::getsockname(listens, at.data(), &bytes) == 0);
    REQUIRE(::connect(fd, at.data(), bytes) == 0);
    on.run([&]() -> task<void> {
        const auto refused = adopt(on.loop, fd);
        CHECK(!refused);
        if (refused) co_return;
        CHECK(refused.error() == std::errc::protocol_not_supported);
        ::close(fd);
    });
    ::close(listens);
}

TEST_CASE("adopt: a connect that is under way, or was refused, is no connection") {
    test_loop on;
    const int listens = ::socket(AF_INET, SOCK_STREAM, 0);
    address at = *address::parse("127.0.0.1:0");
    REQUIRE(::bind(listens, at.data(), at.size()) == 0);
    socklen_t bytes = address::capacity;
    REQUIRE(::getsockname(listens, at.data(), &bytes) == 0);

    const int refused = begin_connect(at); // nobody listens yet
    CHECK(tcp_state_of(refused, TCP_CLOSE) == TCP_CLOSE);
    check_refused(on.loop, refused, std::errc::not_connected);

    const int hops = 255;
    REQUIRE(::setsockopt(listens, IPPROTO_IP, IP_MINTTL, &hops, sizeof hops) == 0);
    REQUIRE(::listen(listens, 1) == 0);
    const int under_way = begin_connect(at);
    CHECK(tcp_state_of(under_way, TCP_SYN_SENT) == TCP_SYN_SENT);
    check_refused(on.loop, under_way, std::errc::not_connected);
    ::close(listens);
}

TEST_CASE("adopt: after a reset, told of or not, a socket is not connected") {
    test_loop on;
    for (const bool told : {false, true}) {
        for (const bool we_connect : {false, true}) {
            CAPTURE(told);
            CAPTURE(we_connect);
            auto made = tcp_pair({.we_connect = we_connect});
            REQUIRE(::send(made.ours, "answer", 6, 0) == 6);
            CHECK(made.theirs.read() == "answer");
            made.theirs.reset();
            CHECK(tcp_state_of(made.ours, TCP_CLOSE) == TCP_CLOSE);
            char byte = 0;
            if (told) CHECK(::recv(made.ours, &byte, 1, 0) < 0);
            check_refused(on.loop, made.ours, std::errc::not_connected);
        }
    }
}

TEST_CASE("adopt: in every state that has a connection, what came before is received to its end") {
    struct state {
        int number;
        bool we_finish, they_finish;
    };
    test_loop on;
    on.run([&]() -> task<void> {
        for (const state& each :
             {state{TCP_ESTABLISHED, false, false}, state{TCP_CLOSE_WAIT, false, true},
              state{TCP_FIN_WAIT2, true, false}, state{TCP_CLOSE, true, true}}) {
            for (const bool we_connect : {false, true}) {
                CAPTURE(each.number);
                CAPTURE(we_connect);
                auto made = tcp_pair({.we_connect = we_connect});
                made.theirs.write("early");
                if (each.they_finish) made.theirs.finish();
                if (each.they_finish) tcp_state_of(made.ours, TCP_CLOSE_WAIT);
                if (each.we_finish) ::shutdown(made.ours, SHUT_WR);
                CHECK(tcp_state_of(made.ours, each.number) == each.number);
                auto [here, there] = converse(on.loop, std::move(made));
                if (!each.they_finish) there.finish();
                CHECK(co_await read_all(here) == "early");
            }
        }
    });
}

TEST_CASE("adopt: of a unix stream whose peer has gone, what it left unread decides") {
    test_loop on;
    auto lost = unix_pair();
    REQUIRE(::send(lost.ours, "unread", 6, 0) == 6);
    lost.theirs.close();
    check_refused(on.loop, lost.ours, std::errc::not_connected);
    on.run([&]() -> task<void> {
        auto made = unix_pair();
        made.theirs.write("early");
        made.theirs.close();
        auto [here, there] = converse(on.loop, std::move(made));
        CHECK(co_await read_all(here) == "early");
    });
}
