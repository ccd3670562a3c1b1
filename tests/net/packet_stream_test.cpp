#include <array>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/net/packet_stream.hpp>
#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/sleep.hpp>

#include "support/fixture_net.hpp"
#include "support/packets.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

namespace {

struct packet_conversation {
    packet_stream here;
    packet_peer there;
};

packet_conversation over_packets(loop& on, int our_send_buffer = 0) {
    auto made = packet_pair(our_send_buffer);
    auto adopted = adopt_packets(on, made.ours);
    REQUIRE(adopted);
    return {std::move(*adopted), std::move(made.theirs)};
}

const std::string reset_text = std::make_error_code(std::errc::connection_reset).message();
const std::string canceled_text = canceled().message();

} // namespace

TEST_CASE("packets: an empty message is a message, and the end of the stream is none") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop);
        there.send("");
        there.send("one");
        there.send("");
        there.send("");
        there.finish();
        for (const char* expected : {"''", "'one'", "''", "''", "end", "end", "end"})
            CHECK(co_await next(here) == expected);
        CHECK(here.bytes().received == 3);
        CHECK(here.bytes().discarded == 0);
        CHECK(co_await here.send(bytes_of("the other direction is open")));
        CHECK(there.receive() == "the other direction is open");
    });
}

TEST_CASE("packets: an empty message sent before the socket was adopted is a message") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto made = packet_pair();
        made.theirs.send("");
        made.theirs.close();
        auto here = adopt_packets(on.loop, made.ours);
        REQUIRE(here);
        CHECK(co_await next(*here) == "''");
        CHECK(co_await next(*here) == "end");
    });
}

TEST_CASE("packets: a receive that waits tells an empty message from the end") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop);
        on.loop.post([&] { there.send(""); });
        CHECK(co_await next(here) == "''");
        on.loop.post([&] { there.send("x"); });
        CHECK(co_await next(here) == "'x'");
        on.loop.post([&] { there.finish(); });
        CHECK(co_await next(here) == "end");
    });
}

TEST_CASE("packets: what does not fit is dropped, told and counted, and the next one is whole") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop);
        there.send("0123456789");
        there.send("next");
        there.send("0123456789");
        there.send("");
        there.send("1234");
        CHECK(co_await next(here, 4) == "'0123' of 10");
        CHECK(co_await next(here, 4) == "'next'");
        CHECK(co_await next(here, 0) == "'' of 10");
        CHECK(co_await next(here, 0) == "''");
        CHECK(co_await next(here, 4) == "'1234'");
        CHECK(here.bytes().received == 12);
        CHECK(here.bytes().discarded == 16);
    });
}

TEST_CASE("packets: messages are sent whole, in order, empty ones too, and FIN behind them") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop);
        for (const char* message : {"first", "", "third", ""}) {
            const auto sent = co_await here.send(bytes_of(message));
            CHECK(sent);
            CHECK(sent.bytes == std::string_view(message).size());
        }
        CHECK(co_await here.shutdown_send());
        for (const char* message : {"first", "", "third", ""})
            CHECK(there.receive() == message);
        CHECK(there.receive().ended());
        CHECK((co_await here.send(bytes_of(""))).error == std::errc::broken_pipe);
        there.send("still read");
        CHECK(co_await next(here) == "'still read'");
        CHECK(here.bytes().sent == 10);
        CHECK(here.bytes().handed == 10);
    });
}

TEST_CASE("packets: those that wait for room keep their order, and FIN comes last") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop, 8192);
        constexpr int count = 24;
        std::array<sent, count> outcomes;
        std::vector<std::string> messages;
        for (int i = 0; i < count; ++i)
            messages.push_back(i % 5 == 4 ? "" : std::to_string(i) + std::string(2000, 'x'));
        result<void> finished = std::unexpected(canceled());
        co_await with_scope([&](scope& in) -> task<void> {
            for (int i = 0; i < count; ++i)
                in.spawn([](packet_stream& by, const std::string& text,
                            sent& into) -> task<void> {
                    into = co_await by.send(bytes_of(text));
                }(here, messages[static_cast<std::size_t>(i)],
                                        outcomes[static_cast<std::size_t>(i)]));
            in.spawn([](packet_stream& by, result<void>& into) -> task<void> {
                into = co_await by.shutdown_send();
            }(here, finished));
            co_await turns(2);
            CHECK(!state_of(here).sends().empty());
            for (const std::string& message : messages) {
                co_await turns(2);
                CHECK(there.receive() == message);
            }
        });
        CHECK(finished);
        for (const sent& each : outcomes)
            CHECK(each);
        CHECK(there.receive().ended());
    });
}

TEST_CASE("packets: a message beyond the send buffer is refused, and nothing else happens") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop);
        const std::vector<std::byte> huge(8 << 20);
        const auto refused = co_await here.send(huge);
        CHECK(refused.error == std::errc::message_size);
        CHECK(refused.bytes == 0);
        CHECK(here.bytes().handed == 0);
        CHECK(co_await here.send(bytes_of("goes")));
        CHECK(there.receive() == "goes");
    });
}

TEST_CASE("packets: a peer that closes with ours unread resets, told as often as asked") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop);
        CHECK(co_await here.send(bytes_of("never read")));
        there.close();
        for (int i = 0; i < 3; ++i)
            CHECK(co_await next(here) == reset_text);
        CHECK((co_await here.send(bytes_of("x"))).error == std::errc::connection_reset);
    });
}

TEST_CASE("packets: what the peer sent before it reset can still be received") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop);
        CHECK(co_await here.send(bytes_of("unread")));
        there.send("last");
        there.send("");
        there.close();
        CHECK(co_await next(here) == reset_text);
        CHECK(co_await next(here) == "'last'");
        CHECK(co_await next(here) == "''");
        CHECK(co_await next(here) == reset_text);
    });
}

TEST_CASE("packets: a send that finds the peer gone is a reset") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop);
        there.close();
        CHECK((co_await here.send(bytes_of("x"))).error == std::errc::connection_reset);
    });
}

TEST_CASE("packets: descriptors that come along are never taken") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop);
        const auto before = open_descriptors();
        CHECK(there.send_with_descriptor("take this") == 0);
        CHECK(there.send_with_descriptor("") == 0);
        CHECK(co_await next(here) == "'take this'");
        CHECK(co_await next(here) == "''");
        CHECK(open_descriptors() == before);
    });
}

TEST_CASE("packets: knowing messages gives our socket no name") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop);
        CHECK(co_await here.send(bytes_of("from nobody")));
        CHECK(here.local().text() == "unix:");
    });
}

TEST_CASE("packets: a receive past its deadline loses no message, not even an empty one") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop);
        const auto late = co_await with_deadline(on.loop.now() + 5ms,
                                                 [](packet_stream& from) -> task<result<packet>> {
                                                     std::array<std::byte, 8> into;
                                                     co_return co_await from.recv(into);
                                                 }(here));
        CHECK(late.error() == errc::deadline_passed);
        there.send("");
        CHECK(co_await next(here) == "''");
    });
}

TEST_CASE("packets: a message that arrives as its receive is cancelled is received, then or next") {
    for (int round = 0; round < 20; ++round) {
        test_loop on;
        on.run([&]() -> task<void> {
            auto [here, there] = over_packets(on.loop);
            std::string got;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn([](packet_stream& from, std::string& into) -> task<void> {
                    into = co_await next(from);
                }(here, got));
                co_await turns(round % 3);
                there.send("");
                in.cancel();
            });
            if (got == canceled_text) got = co_await next(here);
            CHECK(got == "''");
        });
    }
}

TEST_CASE("packets: a send that is cancelled while it waits was not sent, and is nobody's gap") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_packets(on.loop, 4096);
        int filled = 0;
        const std::string filler(1000, 'f');
        sent outcome;
        // The one that finds no room is cancelled by its deadline.
        while (outcome && filled < 100) {
            outcome = sent{};
            auto timed = [](packet_stream& by, const std::string& text, sent& into) -> task<void> {
                into = co_await by.send(bytes_of(text));
            };
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(timed(here, filler, outcome));
                co_await sleep_for(2ms);
                in.cancel();
            });
            if (outcome) ++filled;
        }
        CHECK(outcome.error == std::errc::operation_canceled);
        CHECK(outcome.bytes == 0);
        CHECK(here.bytes().handed == here.bytes().sent);
        for (int i = 0; i < filled; ++i)
            CHECK(there.receive() == filler);
        CHECK(co_await here.send(bytes_of("next")));
        CHECK(there.receive() == "next");
    });
}
