#include <array>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/buffers.hpp>
#include <ringdown/runtime/scope.hpp>

#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;

namespace {

std::string text_of(const lease& held) {
    return {reinterpret_cast<const char*>(held.data().data()), held.size()};
}

} // namespace

TEST_CASE("recv_lease: hands out what came, and takes the buffer back by itself") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        auto& pool = on.loop.service<buffer_pool>();
        there.write("hello");
        {
            const auto held = co_await here.recv_lease();
            REQUIRE(held);
            CHECK(text_of(*held) == "hello");
            CHECK(pool.available() < pool.count());
        }
        CHECK(pool.available() == pool.count());
        CHECK(here.bytes().received == 5);
    });
}

TEST_CASE("recv_lease: an idle connection holds no buffer, where the kernel selects") {
    test_loop on;
    if (!on.loop.has(capability::buffer_ring)) {
        MESSAGE("skip: no buffer rings");
        return;
    }
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        auto& pool = on.loop.service<buffer_pool>();
        co_await with_scope([&](scope& inside) -> task<void> {
            std::optional<std::string> got;
            inside.spawn(store(lease_some(here), got));
            co_await turns(2);
            CHECK(pool.available() == pool.count());
            there.write("x");
            while (!got)
                co_await turns(1);
        });
    });
}

TEST_CASE("recv_lease: data, then FIN: all data first, then end of stream, as often as asked") {
    test_loop on({.buffers = 16, .buffer_bytes = 1000});
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        there.write_pattern(50'000);
        there.finish();
        std::string all;
        while (all.size() < 50'000)
            all += co_await lease_some(here);
        CHECK(all == pattern_text(50'000));
        for (int i = 0; i < 3; ++i) {
            CHECK((co_await here.recv_lease()).error() == errc::end_of_stream);
            std::array<std::byte, 8> into;
            CHECK((co_await here.recv(into)).error() == errc::end_of_stream);
        }
    });
}

TEST_CASE("recv_lease: data, then RST: the data first, then the reset, as often as asked") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        there.write("last words");
        there.reset();
        CHECK(co_await lease_some(here) == "last words");
        for (int i = 0; i < 3; ++i)
            CHECK((co_await here.recv_lease()).error() == std::errc::connection_reset);
    });
}

TEST_CASE("recv_lease: a reset while it waits is told, and is no end of stream") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        on.loop.post([&] { there.reset(); });
        CHECK((co_await here.recv_lease()).error() == std::errc::connection_reset);
    });
}

TEST_CASE("recv_lease: recv after it takes the rest, in order, whatever the sizes") {
    test_loop on({.buffers = 16, .buffer_bytes = 700});
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        constexpr std::size_t bytes = 60'000;
        there.write_pattern(bytes);
        std::string all;
        for (std::size_t i = 0; all.size() < bytes; ++i)
            all += co_await receive(here, i % 3 == 1, i * 37 % 900 + 1);
        CHECK(all == pattern_text(bytes));
        CHECK(here.bytes().received == bytes);
    });
}

TEST_CASE("recv_lease: many readers share few buffers, and all of them get everything") {
    test_loop on({.buffers = 2, .buffer_bytes = 500});
    int intact = 0;
    on.run([&]() -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            auto body = [](loop& turning, int& count) -> task<void> {
                auto [here, there] = over_tcp(turning);
                co_await turns(1);
                there.write_pattern(20'000);
                there.finish();
                std::string all;
                for (;;) {
                    const auto held = co_await here.recv_lease();
                    if (!held) {
                        CHECK(held.error() == errc::end_of_stream);
                        break;
                    }
                    all += text_of(*held);
                    co_await turns(1); // while the buffer is out
                }
                if (all == pattern_text(20'000)) ++count;
            };
            for (int i = 0; i < 20; ++i)
                inside.spawn(body(on.loop, intact));
            co_return;
        });
    });
    CHECK(intact == 20);
}

TEST_CASE("recv_lease: a connection whose reader lags behind leaves buffers to the others") {
    for (const unsigned buffers : {16U, 256U}) {
        CAPTURE(buffers);
        test_loop on({.buffers = buffers, .buffer_bytes = 100});
        on.run([&]() -> task<void> {
            auto lagging = over_tcp(on.loop);
            auto [here, there] = over_tcp(on.loop);
            lagging.there.write_pattern(1);
            CHECK(co_await lease_some(lagging.here) == pattern_text(1));
            lagging.there.write_pattern(50'000);
            co_await turns(20);
            CHECK(on.loop.service<buffer_pool>().available() > 0);
            co_await with_scope([&](scope& inside) -> task<void> {
                std::optional<std::string> got;
                inside.spawn(store(lease_some(here), got));
                there.write("served");
                for (int i = 0; i < 20 && !got; ++i)
                    co_await turns(1);
                CHECK(got);
                // What the first one was sent is all there, nevertheless.
                std::string all;
                while (all.size() < 50'000)
                    all += co_await lease_some(lagging.here);
                CHECK(all == pattern_text(50'000, 1));
                while (!got)
                    co_await turns(1);
            });
        });
    }
}

TEST_CASE("recv_lease: a cancellation that races with data loses no byte") {
    test_loop on({.buffers = 8, .buffer_bytes = 64});
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        std::string all;
        int canceled = 0;
        constexpr int rounds = 300;
        for (int i = 0; i < rounds; ++i) {
            result<lease> got;
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(keep([&] { return here.recv_lease(); }, got));
                if (i % 3 == 0) co_await turns(1);
                if (i % 3 == 1) on.loop.own_ring().submit();
                if (i % 4 != 3) there.write_pattern(10);
                inside.cancel();
            });
            if (i % 4 == 3) there.write_pattern(10);
            if (got)
                all += text_of(*got);
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

TEST_CASE("recv_lease: a stream that is dropped with data unread gives its buffers back") {
    test_loop on({.buffers = 8, .buffer_bytes = 100});
    on.run([&]() -> task<void> {
        for (int i = 0; i < 50; ++i) {
            auto [here, there] = over_tcp(on.loop);
            there.write_pattern(600);
            (void)co_await lease_some(here);
            if (i % 2) co_await turns(2);
        }
        co_await turns(10);
    });
    const auto& pool = on.loop.service<buffer_pool>();
    CHECK(pool.available() == pool.count());
}

TEST_CASE("recv_lease: a lease may outlive its stream, and the run") {
    test_loop on;
    lease kept;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        there.write("kept");
        kept = std::move(*co_await here.recv_lease());
    });
    CHECK(text_of(kept) == "kept");
    kept = lease();
}

TEST_CASE("recv_lease: completions that overflow their queue lose no data") {
    test_loop on({.ring = {.entries = 2, .completion_entries = 2, .disabled = {}},
                  .buffers = 64,
                  .buffer_bytes = 10});
    on.run([&]() -> task<void> {
        std::vector<conversation> all;
        for (int i = 0; i < 20; ++i)
            all.push_back(over_tcp(on.loop));
        for (int round = 0; round < 20; ++round) {
            co_await with_scope([&](scope& inside) -> task<void> {
                auto body = [](conversation& between, std::uint64_t first) -> task<void> {
                    std::string got;
                    while (got.size() < 50)
                        got += co_await lease_some(between.here);
                    CHECK(got == pattern_text(50, first));
                };
                for (auto& each : all)
                    inside.spawn(body(each, static_cast<unsigned>(round) * 50U));
                for (auto& each : all)
                    each.there.write_pattern(50);
                co_return;
            });
        }
    });
    CHECK(on.loop.statistics().overflows > 0);
}
