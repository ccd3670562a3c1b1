#include <array>
#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/scope.hpp>

#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;

TEST_CASE("send: everything arrives, in order, and is counted") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        const auto data = pattern(100'000);
        const sent done = co_await here.send(data);
        CHECK(done);
        CHECK(done.bytes == 100'000);
        CHECK(here.bytes().handed == 100'000);
        CHECK(here.bytes().sent == 100'000);
        const auto seen = there.read_to_end(100'000);
        CHECK(seen.bytes == 100'000);
        CHECK(seen.intact);
    });
}

TEST_CASE("send: of nothing succeeds at once, and sends nothing") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        const sent done = co_await here.send({});
        CHECK(done);
        CHECK(done.bytes == 0);
        CHECK(co_await here.send_vectored({}));
        CHECK(co_await here.send_zero_copy({}));
        CHECK(here.bytes().handed == 0);
        CHECK(there.unread() == 0);
    });
}

TEST_CASE("send: 64 MiB reach a reader that is slower") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] =
            over_tcp(on.loop, {.our_send_buffer = 100'000, .their_receive_buffer = 100'000});
        constexpr std::size_t bytes = 64 << 20;
        const auto data = pattern(bytes);
        peer_reading seen;
        std::thread reader([&] { seen = there.read_to_end(); });
        const sent done = co_await here.send_last(data);
        CHECK(done);
        CHECK(done.bytes == bytes);
        CHECK(co_await here.shutdown_send());
        reader.join();
        CHECK(seen.bytes == bytes);
        CHECK(seen.intact);
        CHECK(seen.finished);
    });
}

TEST_CASE("send_vectored: sends its parts in order, the empty ones too") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        auto data = pattern(1000);
        std::vector<iovec> parts;
        parts.push_back({data.data(), 0});
        for (std::size_t at = 0; at < 1000; at += 10)
            parts.push_back({data.data() + at, 10});
        parts.push_back({nullptr, 0});
        const sent done = co_await here.send_vectored(parts);
        CHECK(done);
        CHECK(done.bytes == 1000);
        const auto seen = there.read_to_end(1000);
        CHECK(seen.intact);
        CHECK(seen.bytes == 1000);
    });
}

TEST_CASE("send_vectored: large ones reach a slower reader whole") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] =
            over_tcp(on.loop, {.our_send_buffer = 50'000, .their_receive_buffer = 50'000});
        auto data = pattern(8 << 20);
        std::vector<iovec> parts;
        for (std::size_t at = 0; at < data.size(); at += 1 << 16)
            parts.push_back({data.data() + at, 1 << 16});
        peer_reading seen;
        std::thread reader([&] { seen = there.read_to_end(8 << 20); });
        const sent done = co_await here.send_vectored(parts);
        reader.join();
        CHECK(done);
        CHECK(done.bytes == data.size());
        CHECK(seen.intact);
        CHECK(seen.bytes == data.size());
    });
}

TEST_CASE("send_vectored: takes more parts than one system call does") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        auto data = pattern(5000);
        std::vector<iovec> parts;
        for (std::size_t at = 0; at < data.size(); ++at) {
            parts.push_back({data.data() + at, 1});
            if (at % 3 == 0) parts.push_back({data.data(), 0});
        }
        // As many empty ones in a row as one call takes.
        parts.insert(parts.begin() + 10, 2000, iovec{nullptr, 0});
        const sent done = co_await here.send_vectored(parts);
        CHECK(done);
        CHECK(done.bytes == data.size());
        const auto seen = there.read_to_end(data.size());
        CHECK(seen.intact);
        CHECK(seen.bytes == data.size());
    });
}

TEST_CASE("send_zero_copy: the buffer is the caller's again when it has ended") {
    test_loop on;
    if (!on.loop.has(capability::zero_copy_send)) MESSAGE("skip: no zero-copy send; plain it is");
    on.run([&]() -> task<void> {
        for (const std::size_t bytes : {1U, 5000U, 4U << 20}) {
            CAPTURE(bytes);
            auto [here, there] =
                over_tcp(on.loop, {.our_send_buffer = 200'000, .their_receive_buffer = 200'000});
            auto data = pattern(bytes);
            peer_reading seen;
            std::thread reader([&] {
                // Late enough that bytes which are not the peer's yet would be seen overwritten.
                there.arrived_at_rest();
                seen = there.read_to_end();
            });
            const sent done = co_await here.send_zero_copy(data);
            std::ranges::fill(data, std::byte{0x55});
            CHECK(done);
            CHECK(done.bytes == bytes);
            CHECK(co_await here.shutdown_send());
            reader.join();
            CHECK(seen.bytes == bytes);
            CHECK(seen.intact);
        }
    });
}

TEST_CASE("send_zero_copy: on a unix stream it is a plain send") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_unix(on.loop);
        const sent done = co_await here.send_zero_copy(bytes_of("hello"));
        CHECK_MESSAGE(done, done.error.message());
        CHECK(there.read_to_end(there.unread()).bytes == 5);
    });
}

TEST_CASE("send: of many tasks on one stream never interleave, and keep their order") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] =
            over_tcp(on.loop, {.our_send_buffer = 20'000, .their_receive_buffer = 20'000});
        constexpr std::size_t each = 50'000, tasks = 40;
        const auto data = pattern(each * tasks);
        const auto all = std::span(data);
        peer_reading seen;
        std::thread reader([&] { seen = there.read_to_end(each * tasks); });
        int done = 0;
        co_await with_scope([&](scope& inside) -> task<void> {
            auto body = [](stream& to, std::span<const std::byte> part, std::size_t form,
                           int& count) -> task<void> {
                std::array<iovec, 2> halves{
                    iovec{const_cast<std::byte*>(part.data()), 100},
                    iovec{const_cast<std::byte*>(part.data()) + 100, part.size() - 100}};
                sent outcome;
                if (form == 0) outcome = co_await to.send(part);
                if (form == 1) outcome = co_await to.send_vectored(halves);
                if (form == 2) outcome = co_await to.send_zero_copy(part);
                if (outcome && outcome.bytes == part.size()) ++count;
            };
            for (std::size_t i = 0; i < tasks; ++i)
                inside.spawn(body(here, all.subspan(i * each, each), i % 3, done));
            co_return;
        });
        reader.join();
        CHECK(done == tasks);
        CHECK(seen.intact);
        CHECK(seen.bytes == each * tasks);
    });
}

TEST_CASE("send: to a peer that has closed is a reset, told as such, and raises no SIGPIPE") {
    static std::atomic<int> raised;
    raised = 0;
    struct sigaction noting{}, before{};
    noting.sa_handler = [](int) { ++raised; };
    ::sigaction(SIGPIPE, &noting, &before);
    test_loop on;
    on.run([&]() -> task<void> {
        const auto data = pattern(100);
        for (const int form : {0, 1, 2, 3}) {
            CAPTURE(form);
            auto [here, there] = over_tcp(on.loop);
            there.close();
            sent outcome;
            const iovec part{const_cast<std::byte*>(data.data()), data.size()};
            // The first one draws the RST.
            CHECK(co_await here.send(data));
            for (int i = 0; i < 2; ++i) {
                if (form == 0) outcome = co_await here.send(data);
                if (form == 1) outcome = co_await here.send_vectored({&part, 1});
                if (form == 2) outcome = co_await here.send_zero_copy(data);
                if (form == 3) outcome = co_await here.send_last(data);
                CHECK(outcome.error == std::errc::connection_reset);
                CHECK(outcome.bytes == 0);
            }
            std::array<std::byte, 8> into;
            CHECK((co_await here.recv(into)).error() == std::errc::connection_reset);
        }
        auto [here, there] = over_unix(on.loop);
        there.close();
        CHECK((co_await here.send(data)).error == std::errc::connection_reset);
    });
    ::sigaction(SIGPIPE, &before, nullptr);
    CHECK(raised == 0);
}

TEST_CASE("send: a reset in the middle tells how many bytes the kernel had accepted") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] =
            over_tcp(on.loop, {.our_send_buffer = 20'000, .their_receive_buffer = 20'000});
        const auto data = pattern(4 << 20);
        std::thread breaker([&] {
            CHECK(there.read_to_end(10'000).intact);
            there.arrived_at_rest();
            there.reset();
        });
        const sent cut = co_await here.send(data);
        breaker.join();
        CHECK(cut.error == std::errc::connection_reset);
        CHECK(cut.bytes >= 10'000);
        CHECK(cut.bytes < data.size());
        CHECK(here.bytes().sent == cut.bytes);
        CHECK(here.bytes().handed == data.size());
    });
}

TEST_CASE("send: goes on while its stream is moved") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] =
            over_tcp(on.loop, {.our_send_buffer = 20'000, .their_receive_buffer = 20'000});
        const auto data = pattern(1 << 20);
        sent outcome;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(keep([&] { return here.send(data); }, outcome));
            co_await turns(2);
            const stream elsewhere = std::move(here);
            peer_reading seen;
            std::thread reader([&] { seen = there.read_to_end(data.size()); });
            while (inside.children() > 0)
                co_await turns(1);
            reader.join();
            CHECK(seen.intact);
            CHECK(seen.bytes == data.size());
        });
        CHECK(outcome);
    });
}
