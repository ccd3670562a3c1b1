#include <array>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/net/datagram.hpp>
#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/scope.hpp>

#include "support/fixture_net.hpp"
#include "support/packets.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

namespace {

datagram_socket opened(loop& on, const datagram_options& options) {
    auto made = open_datagrams(on, options);
    REQUIRE(made);
    return std::move(*made);
}

datagram_socket bound(loop& on, bool ipv6 = false) {
    return opened(on, {.local = *address::parse(ipv6 ? "[::1]:0" : "127.0.0.1:0")});
}

datagram_socket connected(loop& on, const address& to) { return opened(on, {.peer = to}); }

const std::string refused_text = std::make_error_code(std::errc::connection_refused).message();

/// A port of the loopback address where nobody is.
address deserted() { return udp_peer().local(); }

} // namespace

TEST_CASE("datagrams: one of no bytes is received like any other, and ends nothing") {
    test_loop on;
    for (const bool ipv6 : {false, true}) {
        on.run([&]() -> task<void> {
            auto here = bound(on.loop, ipv6);
            udp_peer there(ipv6);
            there.send_to("", here.local());
            there.send_to("one", here.local());
            there.send_to("", here.local());
            CHECK(co_await next(here) == "''");
            CHECK(co_await next(here) == "'one'");
            std::array<std::byte, 8> into;
            const auto empty = co_await here.recv_from(into);
            REQUIRE(empty);
            CHECK(empty->bytes == 0);
            CHECK(!empty->cut());
            CHECK(empty->sender == there.local());
            on.loop.post([&] { there.send_to("", here.local()); });
            CHECK(co_await next(here) == "''");
            on.loop.post([&] { there.send_to("after", here.local()); });
            CHECK(co_await next(here) == "'after'");
            CHECK(here.bytes().received == 8);
        });
    }
}

TEST_CASE("datagrams: recv_from tells who sent each, and send_to answers them") {
    test_loop on;
    for (const bool ipv6 : {false, true}) {
        on.run([&]() -> task<void> {
            auto here = bound(on.loop, ipv6);
            udp_peer first(ipv6);
            udp_peer second(ipv6);
            first.send_to("from the first", here.local());
            second.send_to("from the second", here.local());
            for (udp_peer* const expected : {&first, &second}) {
                std::array<std::byte, 64> into;
                const auto got = co_await here.recv_from(into);
                REQUIRE(got);
                CHECK(got->sender == expected->local());
                const std::span<const std::byte> same(into.data(), got->bytes);
                CHECK(co_await here.send_to(same, got->sender));
            }
            CHECK(first.receive() == "from the first");
            const auto answer = second.receive();
            CHECK(answer == "from the second");
            CHECK(answer.sender == here.local());
            CHECK(co_await here.send_to({}, first.local()));
            CHECK(first.receive() == "");
        });
    }
}

TEST_CASE("datagrams: a connected socket sends to its peer and hears nobody else") {
    test_loop on;
    on.run([&]() -> task<void> {
        udp_peer there;
        udp_peer stranger;
        auto here = connected(on.loop, there.local());
        CHECK(here.peer() == there.local());
        for (const char* data : {"to you", ""}) {
            const auto sent = co_await here.send(bytes_of(data));
            CHECK(sent);
            CHECK(sent.bytes == std::string_view(data).size());
            CHECK(there.receive() == data);
        }
        stranger.send_to("not for you", here.local());
        there.send_to("", here.local());
        there.send_to("for you", here.local());
        CHECK(co_await next(here) == "''");
        CHECK(co_await next(here) == "'for you'");
        CHECK(co_await here.send_to(bytes_of("elsewhere"), stranger.local()));
        CHECK(stranger.receive() == "elsewhere");
        CHECK(here.bytes().sent == 15);
        CHECK(here.bytes().received == 7);
    });
}

TEST_CASE("datagrams: the peer of a socket without one is anyone") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto four = bound(on.loop);
        auto six = bound(on.loop, true);
        auto none = opened(on.loop, {});
        CHECK(four.peer().text() == "0.0.0.0:0");
        CHECK(six.peer().text() == "[::]:0");
        CHECK(none.peer().text() == "0.0.0.0:0");
        for (datagram_socket* const each : {&four, &six, &none}) {
            CHECK(*address::parse(each->peer().text()) == each->peer());
            const auto unsent = co_await each->send(bytes_of("to whom?"));
            CHECK(unsent.error == std::errc::destination_address_required);
            CHECK(unsent.bytes == 0);
            CHECK(each->bytes().handed == 0);
        }
        udp_peer there;
        CHECK(co_await none.send_to(bytes_of("bound now"), there.local()));
        CHECK(there.receive().sender.port() == none.local().port());
    });
}

TEST_CASE("datagrams: what does not fit is dropped, told and counted; the next one is whole") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto here = bound(on.loop);
        udp_peer there;
        for (const char* data : {"0123456789", "next", "0123456789", "", "1234"})
            there.send_to(data, here.local());
        CHECK(co_await next(here, 4) == "'0123' of 10");
        CHECK(co_await next(here, 4) == "'next'");
        CHECK(co_await next(here, 0) == "'' of 10");
        CHECK(co_await next(here, 0) == "''");
        CHECK(co_await next(here, 4) == "'1234'");
        CHECK(here.bytes().received == 12);
        CHECK(here.bytes().discarded == 16);
    });
}

TEST_CASE("datagrams: a refusal is told once, to the next receive, and the socket goes on") {
    test_loop on;
    on.run([&]() -> task<void> {
        const address to = deserted();
        auto here = connected(on.loop, to);
        CHECK(co_await here.send(bytes_of("anyone?")));
        CHECK(co_await next(here) == refused_text);
        udp_peer there(false, to.port());
        there.send_to("now", here.local());
        CHECK(co_await next(here) == "'now'");
        CHECK(co_await here.send(bytes_of("answer")));
        CHECK(there.receive() == "answer");
        // Nor would what makes a connection lost.
        state_of(here).note_error(-EHOSTUNREACH);
        CHECK(state_of(here).end_errno() == 0);
        CHECK(co_await here.send(bytes_of("still")));
        CHECK(there.receive() == "still");
    });
}

TEST_CASE("datagrams: a socket without a peer is told of no refusal, and goes on") {
    test_loop on;
    on.run([&]() -> task<void> {
        const address to = deserted();
        auto here = bound(on.loop);
        udp_peer there;
        for (int i = 0; i < 3; ++i) { // the answer to the first has come when the second is sent
            CHECK(co_await here.send_to(bytes_of("anyone?"), to));
            there.send_to("somebody", here.local());
            CHECK(co_await next(here) == "'somebody'");
        }
        CHECK(state_of(here).end_errno() == 0);
    });
}

TEST_CASE("datagrams: a refusal is told to a receive that waits, or to the next send") {
    test_loop on;
    on.run([&]() -> task<void> {
        const address to = deserted();
        auto here = connected(on.loop, to);
        std::string got;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](datagram_socket& from, std::string& into) -> task<void> {
                into = co_await next(from);
            }(here, got));
            co_await turns(2);
            CHECK(co_await here.send(bytes_of("anyone?")));
        });
        CHECK(got == refused_text);

        CHECK(co_await here.send(bytes_of("12345")));
        const auto told = co_await here.send(bytes_of("1234567"));
        CHECK(told.error == std::errc::connection_refused);
        CHECK(told.bytes == 0);
        CHECK(here.bytes().handed == 12);
        CHECK(here.bytes().sent == 12);
        udp_peer there(false, to.port());
        CHECK(co_await here.send(bytes_of("again")));
        CHECK(there.receive() == "again");
    });
}

TEST_CASE("datagrams: one that is too large is refused, and those beside it are sent") {
    test_loop on;
    on.run([&]() -> task<void> {
        udp_peer there;
        auto here = connected(on.loop, there.local());
        const std::vector<std::byte> largest(65'507);
        const std::vector<std::byte> larger(65'508);
        std::array<sent, 3> outcomes;
        const auto send = [](datagram_socket& by, std::span<const std::byte> data,
                             sent& into) -> task<void> { into = co_await by.send(data); };
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send(here, larger, outcomes[0]));
            in.spawn(send(here, largest, outcomes[1]));
            in.spawn(send(here, bytes_of("small"), outcomes[2]));
            co_return;
        });
        CHECK(outcomes[0].error == std::errc::message_size);
        CHECK(outcomes[1].bytes == largest.size());
        CHECK(outcomes[2].bytes == 5);
        const auto first = there.receive();
        REQUIRE(first.message);
        CHECK(first.message->size() == largest.size());
        CHECK(there.receive() == "small");
        CHECK(there.empty());
        CHECK(here.bytes().handed == here.bytes().sent);
    });
}

TEST_CASE("datagrams: a receive past its deadline loses nothing, not even one of no bytes") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto here = bound(on.loop);
        const auto late = co_await with_deadline(on.loop.now() + 5ms,
                                                 [](datagram_socket& from) -> task<result<packet>> {
                                                     std::array<std::byte, 8> into;
                                                     co_return co_await from.recv(into);
                                                 }(here));
        CHECK(late.error() == errc::deadline_passed);
        udp_peer there;
        there.send_to("", here.local());
        CHECK(co_await next(here) == "''");
    });
}

TEST_CASE("datagrams: one that arrives as its receive is cancelled is received, then or next") {
    for (int round = 0; round < 20; ++round) {
        test_loop on;
        on.run([&]() -> task<void> {
            auto here = bound(on.loop);
            udp_peer there;
            std::string got;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn([](datagram_socket& from, std::string& into) -> task<void> {
                    into = co_await next(from);
                }(here, got));
                co_await turns(round % 3);
                there.send_to("", here.local());
                in.cancel();
            });
            if (got == canceled().message()) got = co_await next(here);
            CHECK(got == "''");
        });
    }
}

TEST_CASE("datagrams: operations in a scope that is cancelled do nothing") {
    test_loop on;
    on.run([&]() -> task<void> {
        udp_peer there;
        auto here = connected(on.loop, there.local());
        sent outcome;
        std::string got;
        co_await with_scope([&](scope& in) -> task<void> {
            in.cancel();
            in.spawn([](datagram_socket& by, sent& unsent, std::string& none) -> task<void> {
                unsent = co_await by.send(bytes_of("never"));
                none = co_await next(by);
            }(here, outcome, got));
            co_return;
        });
        CHECK(outcome.error == std::errc::operation_canceled);
        CHECK(got == canceled().message());
        CHECK(there.empty());
    });
}
