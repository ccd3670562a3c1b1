#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/buffers.hpp>
#include <ringdown/runtime/scope.hpp>

#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Loops that are short of buffers, or have none left.

namespace {

std::string text_of(const lease& held) {
    return {reinterpret_cast<const char*>(held.data().data()), held.size()};
}

/// Buffers of the loop, where nobody but the library picks them.
loop_options picked(unsigned buffers) {
    loop_options options{.buffers = buffers, .buffer_bytes = 64};
    options.ring.disabled.add(capability::buffer_ring);
    return options;
}

std::vector<std::uint16_t> take_every_buffer(buffer_pool& pool) {
    std::vector<std::uint16_t> taken;
    std::uint16_t id = 0;
    while (pool.pick(id))
        taken.push_back(id);
    CHECK(pool.available() == 0);
    return taken;
}

void give_back(buffer_pool& pool, std::vector<std::uint16_t>& taken) {
    for (const auto each : taken)
        pool.give_back(each);
    taken.clear();
}

/// Receives that many leases, a message each, and keeps them.
task<std::vector<lease>> hoard(conversation& through, std::size_t many) {
    std::vector<lease> held;
    while (held.size() < many) {
        through.there.write_pattern(10);
        auto got = co_await through.here.recv_lease();
        if (!got) throw std::system_error(got.error());
        held.push_back(std::move(*got));
    }
    co_return held;
}

task<void> receive_lease(stream& from, std::optional<result<lease>>& into) {
    into.emplace(co_await from.recv_lease());
}

} // namespace

TEST_CASE("recv_lease: however many leases are held, others receive, and each stays readable") {
    for (const bool selected : {true, false}) {
        CAPTURE(selected);
        test_loop on(selected ? loop_options{.buffers = 16, .buffer_bytes = 64} : picked(16));
        on.run([&]() -> task<void> {
            auto greedy = over_tcp(on.loop);
            auto [here, there] = over_tcp(on.loop);
            auto& pool = on.loop.service<buffer_pool>();
            auto held = co_await hoard(greedy, 100);
            CHECK(pool.available() >= pool.count() / 4);
            CHECK(pool.copies() == 100 - 3 * pool.count() / 4);

            there.write("served");
            std::optional<std::string> got;
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(store(lease_some(here), got));
                co_await turns(4);
                CHECK(got);
                inside.cancel();
            });
            std::string all;
            for (const lease& each : held)
                all += text_of(each);
            CHECK(all == pattern_text(1000));
            held.clear();
            CHECK(pool.available() == pool.count());
            CHECK(pool.copies() == 0);
        });
    }
}

TEST_CASE("recv_lease: while leases are held, ends are told: FIN and reset") {
    test_loop on({.buffers = 4, .buffer_bytes = 64});
    on.run([&]() -> task<void> {
        auto greedy = over_tcp(on.loop);
        const auto held = co_await hoard(greedy, 10);
        for (const bool reset : {false, true}) {
            auto [here, there] = over_tcp(on.loop);
            if (reset)
                there.reset();
            else
                there.finish();
            const auto got = co_await here.recv_lease();
            REQUIRE_FALSE(got);
            CHECK(got.error() == (reset ? std::make_error_code(std::errc::connection_reset)
                                        : make_error_code(errc::end_of_stream)));
        }
    });
}

TEST_CASE("recv_lease: what was copied and taken in part is leased from there on") {
    test_loop on({.buffers = 4, .buffer_bytes = 64});
    on.run([&]() -> task<void> {
        auto greedy = over_tcp(on.loop);
        auto [here, there] = over_tcp(on.loop);
        const auto held = co_await hoard(greedy, 3);
        there.write("first");
        CHECK(co_await lease_some(here) == "first");
        there.write("second third");
        CHECK(co_await read_some(here, 7) == "second ");
        CHECK(on.loop.service<buffer_pool>().copies() == 1);
        CHECK(co_await lease_some(here) == "third");
        CHECK(here.bytes().received == 17);
    });
}

TEST_CASE("recv_lease: a copy may outlive its stream, and the run") {
    test_loop on({.buffers = 1, .buffer_bytes = 64});
    lease kept;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        there.write("kept");
        kept = std::move(*co_await here.recv_lease());
    });
    CHECK(on.loop.service<buffer_pool>().copies() == 1);
    CHECK(text_of(kept) == "kept");
    kept = lease();
}

TEST_CASE("recv_lease: connections that nobody reads hold little, however much they are sent") {
    constexpr std::size_t many = 60;
    test_loop on({.buffers = 32, .buffer_bytes = 100});
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        std::vector<conversation> unread;
        for (std::size_t i = 0; i < many; ++i) {
            unread.push_back(over_tcp(on.loop));
            auto& each = unread.back();
            for (int message = 0; message < 3; ++message) { // then a receive stays armed
                each.there.write_pattern(1);
                CHECK((co_await lease_some(each.here)).size() == 1);
            }
        }
        for (auto& each : unread)
            each.there.write_pattern(50'000);
        co_await turns(20);
        auto& pool = on.loop.service<buffer_pool>();
        CHECK(pool.available() >= pool.count() / 4);
        MESSAGE("copies held: " << pool.copies());
        CHECK(pool.copies() <= many * pool.count()); // what one turn brings, at most, of each

        there.write("served");
        CHECK(co_await lease_some(here) == "served");
        for (auto& each : unread) {
            std::string all;
            while (all.size() < 50'000)
                all += co_await lease_some(each.here);
            CHECK(all == pattern_text(50'000, 3));
        }
        CHECK(pool.copies() == 0);
    });
}

TEST_CASE("recv_lease: without any buffer it waits, and one that returns wakes it") {
    test_loop on(picked(4));
    on.run([&]() -> task<void> {
        auto& pool = on.loop.service<buffer_pool>();
        auto [here, there] = over_tcp(on.loop);
        auto taken = take_every_buffer(pool);
        std::optional<std::string> got;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(store(lease_some(here), got));
            there.write("waiting");
            co_await turns(5);
            CHECK_FALSE(got);
            pool.give_back(taken.back());
            taken.pop_back();
            while (!got)
                co_await turns(1);
        });
        CHECK(*got == "waiting");
        give_back(pool, taken);
    });
}

TEST_CASE("recv_lease: without any buffer the end of the stream is told all the same") {
    test_loop on(picked(4));
    on.run([&]() -> task<void> {
        auto& pool = on.loop.service<buffer_pool>();
        for (const bool reset : {false, true}) {
            auto [here, there] = over_tcp(on.loop);
            auto taken = take_every_buffer(pool);
            std::optional<result<lease>> got;
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(receive_lease(here, got));
                co_await turns(2);
                if (reset)
                    there.reset();
                else
                    there.finish();
                for (int i = 0; i < 50 && !got; ++i)
                    co_await turns(1);
            });
            give_back(pool, taken);
            REQUIRE(got);
            CHECK(got->error() == (reset ? std::make_error_code(std::errc::connection_reset)
                                         : make_error_code(errc::end_of_stream)));
        }
    });
}

TEST_CASE("recv_lease: cancelled while it waits for a buffer it ends at once") {
    test_loop on(picked(2));
    on.run([&]() -> task<void> {
        auto& pool = on.loop.service<buffer_pool>();
        auto [here, there] = over_tcp(on.loop);
        auto taken = take_every_buffer(pool);
        there.write("kept");
        result<lease> got;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(keep([&] { return here.recv_lease(); }, got));
            co_await turns(3);
            inside.cancel();
        });
        CHECK(got.error() == std::errc::operation_canceled);
        give_back(pool, taken);
        CHECK(co_await lease_some(here) == "kept");
    });
}
