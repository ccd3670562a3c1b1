#include <string>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/net/connect.hpp>
#include <ringdown/net/listener.hpp>
#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/internal/uapi.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "support/denying_system.hpp"
#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

// How newcomers are kept away, and what becomes of the listening socket.

namespace {

std::shared_ptr<listening_socket> any_port_of(const char* where,
                                              ringdown::system_calls& calls = kernel()) {
    return std::make_shared<listening_socket>(*address::parse(where), listen_options{}, calls);
}

/// Forbids the ways that come before `way`, and after it as well, so that it is the only one.
void permit_only(denying_system& calls, refusal way) {
    if (way != refusal::by_filter) calls.deny_option(SOL_SOCKET, SO_ATTACH_FILTER);
    if (way != refusal::by_interface) calls.deny_option(SOL_SOCKET, uapi::so_bindtoifindex);
    if (way != refusal::by_hop_limit) calls.deny_option(IPPROTO_IP, IP_MINTTL);
}

/// Newer kernels let only CAP_NET_ADMIN attach a filter to a TCP socket.
bool filters_are_permitted() {
    const listening_socket tried(*address::parse("127.0.0.1:0"));
    return drop_syns(kernel(), tried.descriptor()) >= 0;
}

int minimum_hops(const stream& of) {
    int hops = -1;
    socklen_t bytes = sizeof hops;
    ::getsockopt(of.native_handle(), IPPROTO_IP, IP_MINTTL, &hops, &bytes);
    return hops;
}

/// Connects with a TTL of 255, as `by_hop_limit` does not keep away.
peer connect_from_next_door(const address& to) {
    const int fd = ::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int highest = 255;
    ::setsockopt(fd, IPPROTO_IP, IP_TTL, &highest, sizeof highest);
    CHECK(::connect(fd, to.data(), to.size()) == 0);
    return peer(fd);
}

task<std::error_code> newcomer(loop& on, const address& to) {
    auto came = connect(on, to, {.deadline = on.now() + 300ms});
    const auto answered = co_await std::move(came);
    co_return answered ? std::error_code() : answered.error();
}

} // namespace

TEST_CASE("refusal: by each way who waits is served, and newcomers are kept away") {
    for (const auto way : {refusal::by_filter, refusal::by_interface, refusal::by_hop_limit}) {
        CAPTURE(std::string(name(way)));
        if (way == refusal::by_filter && !filters_are_permitted()) {
            MESSAGE("skip: a filter on a TCP socket takes CAP_NET_ADMIN here");
            continue;
        }
        denying_system calls;
        permit_only(calls, way);
        test_loop on;
        on.run([&]() -> task<void> {
            const auto kept = any_port_of("127.0.0.1:0", calls);
            listener from(on.loop, kept);
            auto clients = connect_many(from.local(), 20);
            for (auto& each : clients)
                each.write("x");
            REQUIRE(kept->refuse_newcomers().has_value());
            const auto late = co_await newcomer(on.loop, from.local());
            if (way == refusal::by_interface)
                CHECK(late == std::errc::connection_refused);
            else
                CHECK(late == errc::deadline_passed);
            const auto stopped = co_await from.stop();
            REQUIRE(stopped.has_value());
            CHECK(*stopped == way);
            CHECK_FALSE(from.denied_by());
            CHECK(from.accepted() == 20);
            while (auto next = from.next_accepted()) {
                CHECK(co_await read_some(*next, 1) == "x");
                CHECK(co_await next->send(bytes_of("y")));
            }
            for (auto& each : clients)
                CHECK(each.read(1) == "y");
        });
    }
}

TEST_CASE("refusal: the first way that is permitted is taken, and it stays") {
    denying_system calls;
    calls.deny_option(SOL_SOCKET, SO_ATTACH_FILTER);
    const auto socket = any_port_of("127.0.0.1:0", calls);
    CHECK(socket->refuse_newcomers() == refusal::by_interface);
    CHECK(socket->refuse_newcomers() == refusal::by_interface);
    const auto unix_one = any_port_of(("unix:@refusal-" + std::to_string(::getpid())).c_str());
    CHECK(unix_one->refuse_newcomers() == refusal::by_shutdown);
}

TEST_CASE("refusal: a socket that is bound to an interface already, as an ordinary user") {
    denying_system calls;
    calls.deny_option(SOL_SOCKET, SO_ATTACH_FILTER);
    const auto socket = any_port_of("127.0.0.1:0", calls);
    const int loopback = 1;
    REQUIRE(::setsockopt(socket->descriptor(), SOL_SOCKET, uapi::so_bindtoifindex, &loopback,
                         sizeof loopback) == 0);
    const auto refused = socket->refuse_newcomers();
    REQUIRE(refused.has_value());
    // CAP_NET_RAW, which containers give, binds it anew.
    CHECK((*refused == refusal::by_hop_limit || *refused == refusal::by_interface));
}

TEST_CASE("refusal: what accepted sockets inherit of a hop limit is taken back") {
    denying_system calls;
    permit_only(calls, refusal::by_hop_limit);
    test_loop on;
    on.run([&]() -> task<void> {
        for (const int before : {0, 7}) {
            const auto socket = any_port_of("127.0.0.1:0", calls);
            CHECK(::setsockopt(socket->descriptor(), IPPROTO_IP, IP_MINTTL, &before,
                               sizeof before) == 0);
            listener from(on.loop, socket);
            CHECK(from.refuse() == refusal::by_hop_limit);
            auto client = connect_from_next_door(from.local());
            auto accepted = co_await from.accept();
            REQUIRE(accepted.has_value());
            CHECK(minimum_hops(*accepted) == before);
            client.write("x");
            CHECK(co_await read_some(*accepted, 1) == "x");
        }
    });
}

TEST_CASE("refusal: where the kernel permits no way it is said, and the queue is served") {
    denying_system calls;
    permit_only(calls, refusal::denied);
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port_of("127.0.0.1:0", calls));
        const auto clients = connect_many(from.local(), 5);
        const auto stopped = co_await from.stop();
        REQUIRE(stopped.has_value());
        CHECK(*stopped == refusal::denied);
        CHECK(from.denied_by() == std::errc::operation_not_permitted);
        CHECK(from.accepted() == 5);
    });
}

TEST_CASE("refusal: a hop limit that peers meet anyway keeps nobody away") {
    denying_system calls;
    permit_only(calls, refusal::by_hop_limit);
    const auto socket = any_port_of("127.0.0.1:0", calls);
    const int highest = 255;
    ::setsockopt(socket->descriptor(), IPPROTO_IP, IP_MINTTL, &highest, sizeof highest);
    CHECK(socket->refuse_newcomers().error() == std::errc::operation_not_permitted);
}

TEST_CASE("stop: a listening socket that the program keeps is closed with its last listener") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto kept = any_port();
        const address at = kept->local();
        // As a child that was forked holds it.
        const int elsewhere = ::fcntl(kept->descriptor(), F_DUPFD_CLOEXEC, 0);
        {
            listener first(on.loop, kept);
            listener second(on.loop, kept);
            CHECK(co_await first.stop());
            CHECK(kept->descriptor() >= 0);
            CHECK(co_await second.stop());
        }
        CHECK(kept->descriptor() == -1);
        CHECK(kept->local() == at);
        const auto late = co_await newcomer(on.loop, at);
        CHECK(late == std::errc::connection_refused);
        std::string said;
        try {
            const listener again(on.loop, kept);
        } catch (const std::system_error& refused) {
            CHECK(refused.code() == errc::ending);
            said = refused.what();
        }
        CHECK(said.find("cannot accept from " + at.text()) == 0);
        ::close(elsewhere);
    });
}

TEST_CASE("hand over: the listening socket lives on, here and elsewhere") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto kept = any_port();
        {
            listener from(on.loop, kept);
            CHECK(co_await from.hand_over());
        }
        REQUIRE(kept->descriptor() >= 0);
        auto client = connect_peer(kept->local());
        listener next(on.loop, kept);
        CHECK(co_await next.accept());
        CHECK(co_await next.stop());
    });
}

TEST_CASE("hand over: who leaves to others may be at it still when the last one stops") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto kept = any_port();
        listener leaving(on.loop, kept);
        listener last(on.loop, kept);
        CHECK(leaving.leave_to_others());
        CHECK(co_await last.stop());
        CHECK(kept->descriptor() >= 0);
        CHECK(co_await leaving.hand_over());
        CHECK(kept->descriptor() == -1);
    });
}
