#include <array>

#include <sys/mman.h>

#include <doctest/doctest.h>

#include <ringdown/runtime/scope.hpp>

#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;

TEST_CASE("recv: answers what has come, at most the size of the buffer") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        there.write("hello");
        CHECK(co_await read_some(here, 2) == "he");
        CHECK(co_await read_some(here, 100) == "llo");
        CHECK(here.bytes().received == 5);
    });
}

TEST_CASE("recv: waits for the first byte") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        on.loop.post([&] { there.write("x"); });
        CHECK(co_await read_some(here) == "x");
    });
}

TEST_CASE("recv: data, then FIN: all data first, then end of stream, as often as asked") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        there.write_pattern(50'000);
        there.finish();
        CHECK(co_await read_all(here) == pattern_text(50'000));
        std::array<std::byte, 8> into;
        for (int i = 0; i < 3; ++i) {
            const auto end = co_await here.recv(into);
            REQUIRE(!end);
            CHECK(end.error() == errc::end_of_stream);
        }
        CHECK(co_await here.send(bytes_of("the other direction is open")));
    });
}

TEST_CASE("recv: a reset is told as connection_reset, as often as asked, and is no end of stream") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        std::array<std::byte, 8> into;
        on.loop.post([&] { there.reset(); });
        for (int i = 0; i < 3; ++i) {
            const auto end = co_await here.recv(into);
            REQUIRE(!end);
            CHECK(end.error() == std::errc::connection_reset);
            CHECK(end.error() != errc::end_of_stream);
        }
        const auto refused = co_await here.send(into);
        CHECK(refused.error == std::errc::connection_reset);
        CHECK(refused.bytes == 0);
    });
}

TEST_CASE("recv: data, then RST: the data first, then the reset") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        there.write("last words");
        there.reset();
        CHECK(co_await read_some(here) == "last words");
        std::array<std::byte, 8> into;
        CHECK((co_await here.recv(into)).error() == std::errc::connection_reset);
    });
}

TEST_CASE("recv: an empty buffer is an invalid argument") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        CHECK((co_await here.recv({})).error() == std::errc::invalid_argument);
        there.write("x");
        CHECK(co_await read_some(here) == "x");
    });
}

TEST_CASE("recv: a buffer of four GiB is as good as any") {
    constexpr std::size_t bytes = std::size_t{4} << 30;
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        MESSAGE("skip: no address space for four GiB");
        return;
    }
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        there.write("hello");
        const auto got = co_await here.recv({static_cast<std::byte*>(memory), bytes});
        CHECK(got == result<std::size_t>(5));
    });
    ::munmap(memory, bytes);
}

TEST_CASE("recv: a cancellation that races with data loses no byte") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        std::string all;
        int canceled = 0;
        constexpr int rounds = 300;
        for (int i = 0; i < rounds; ++i) {
            std::array<std::byte, 64> into;
            result<std::size_t> got;
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(keep([&] { return here.recv(into); }, got));
                if (i % 3 == 0) co_await turns(1);
                if (i % 3 == 1) on.loop.own_ring().submit();
                if (i % 4 != 3) there.write_pattern(10);
                inside.cancel();
            });
            if (i % 4 == 3) there.write_pattern(10);
            if (got)
                all.append(reinterpret_cast<const char*>(into.data()), *got);
            else
                CHECK(got.error() == std::errc::operation_canceled);
            canceled += got ? 0 : 1;
        }
        there.finish();
        all += co_await read_all(here);
        CHECK(all == pattern_text(rounds * 10));
        CHECK(canceled > 0);
    });
}

TEST_CASE("recv: in a scope that is cancelled already it is not begun") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        there.write("kept");
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.cancel();
            std::array<std::byte, 8> into;
            CHECK((co_await here.recv(into)).error() == std::errc::operation_canceled);
            CHECK((co_await here.recv_lease()).error() == std::errc::operation_canceled);
        });
        CHECK(co_await read_some(here) == "kept");
    });
}

TEST_CASE("recv: goes on while its stream is moved") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        for (const bool leased : {false, true}) {
            std::string got;
            co_await with_scope([&](scope& inside) -> task<void> {
                auto body = [](stream& from, bool as_lease, std::string& into) -> task<void> {
                    into = co_await receive(from, as_lease);
                };
                inside.spawn(body(here, leased, got));
                co_await turns(1);
                stream elsewhere = std::move(here);
                CHECK_FALSE(here);
                there.write("moved");
                while (inside.children() > 0)
                    co_await turns(1);
                here = std::move(elsewhere);
            });
            CHECK(got == "moved");
        }
    });
}

TEST_CASE("recv: ends when its stream is destroyed") {
    test_loop on;
    on.run([&]() -> task<void> {
        for (const bool leased : {false, true}) {
            auto [here, there] = over_tcp(on.loop);
            std::array<std::byte, 8> into;
            std::error_code told;
            co_await with_scope([&](scope& inside) -> task<void> {
                auto body = [](stream& from, bool as_lease, std::span<std::byte> buffer,
                               std::error_code& why) -> task<void> {
                    if (as_lease)
                        why = (co_await from.recv_lease()).error();
                    else
                        why = (co_await from.recv(buffer)).error();
                };
                inside.spawn(body(here, leased, into, told));
                co_await turns(1);
                here = stream();
            });
            CHECK(told == std::errc::operation_canceled);
            CHECK(there.read().empty());
            CHECK(there.last_error() == ECONNRESET);
        }
    });
}

TEST_CASE("recv: the end of the run cancels it") {
    test_loop on;
    std::error_code told;
    auto made = tcp_pair();
    peer there = std::move(made.theirs);
    on.run([&]() -> task<void> {
        auto body = [](stream from, std::error_code& why) -> task<void> {
            std::array<std::byte, 8> into;
            why = (co_await from.recv(into)).error();
        };
        on.loop.spawn(body(*adopt(on.loop, made.ours), told));
        co_await turns(1);
    });
    there.close();
    CHECK(told == std::errc::operation_canceled);
}

TEST_CASE("recv: a hundred connections at once, through small queues") {
    test_loop on({.ring = {.entries = 4, .completion_entries = 4, .disabled = {}},
                  .buffers = 8,
                  .buffer_bytes = 1000});
    for (const bool leased : {false, true}) {
        int intact = 0;
        on.run([&]() -> task<void> {
            co_await with_scope([&](scope& inside) -> task<void> {
                auto body = [](loop& turning, bool as_lease, int& count) -> task<void> {
                    auto [here, there] = over_tcp(turning);
                    co_await turns(2);
                    std::string all;
                    for (int round = 0; round < 3; ++round) {
                        there.write_pattern(10'000);
                        while (all.size() < 10'000U * static_cast<unsigned>(round + 1))
                            all += co_await receive(here, as_lease);
                    }
                    if (all == pattern_text(30'000)) ++count;
                };
                for (int i = 0; i < 100; ++i)
                    inside.spawn(body(on.loop, leased, intact));
                co_return;
            });
        });
        CHECK(intact == 100);
    }
    CHECK(on.loop.statistics().queue_full > 0);
    CHECK(on.loop.statistics().overflows > 0);
}

TEST_CASE("stream: outlives its loop harmlessly") {
    const leak_guard unchanged;
    stream kept;
    peer there;
    {
        loop on;
        auto body = [&]() -> task<void> {
            auto made = over_tcp(on);
            there = std::move(made.there);
            there.write("read");
            kept = std::move(made.here);
            (void)co_await lease_some(kept);
        };
        on.run(body());
    }
    CHECK(kept);
    kept = stream();
    there.close();
}

TEST_CASE("stream: one that was adopted and dropped without any run leaves nothing behind") {
    // Its operations end with the loop, which is where they are counted.
    const leak_guard guard;
    loop on;
    auto [here, there] = over_tcp(on);
    here = stream();
    there.close();
}

TEST_CASE("stream: one that was adopted before run works in it") {
    test_loop on;
    auto made = over_tcp(on.loop);
    made.there.write("early");
    on.run([&]() -> task<void> { CHECK(co_await read_some(made.here) == "early"); });
}
