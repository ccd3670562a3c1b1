#include <algorithm>
#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/buffers.hpp>

#include "support/fixture.hpp"

using namespace ringdown;

namespace {

struct counting_waiter final : buffer_waiter {
    void buffer_returned() noexcept override { ++told; }
    int told = 0;
};

/// A pool without buffer rings, where buffers are picked by hand.
loop_options picked(unsigned count) {
    loop_options options{.buffers = count, .buffer_bytes = 64};
    options.ring.disabled.add(capability::buffer_ring);
    return options;
}

} // namespace

TEST_CASE("buffer_pool: has the loop's options, and the kernel selects where it can") {
    test_loop on({.buffers = 8, .buffer_bytes = 100});
    auto& pool = on.loop.service<buffer_pool>();
    CHECK(&pool == &on.loop.service<buffer_pool>());
    CHECK(pool.count() == 8);
    CHECK(pool.available() == 8);
    CHECK(pool.buffer_bytes() == 100);
    CHECK(pool.kernel_selects() == on.loop.has(capability::buffer_ring));
}

TEST_CASE("buffer_pool: a lease names its bytes and gives its buffer back when it ends") {
    test_loop on(picked(4));
    auto& pool = on.loop.service<buffer_pool>();
    std::uint16_t id = 0;
    REQUIRE(pool.pick(id));
    std::ranges::fill_n(pool.memory(id), 64, std::byte{7});
    {
        const lease held = pool.make_lease(id, 10, 30);
        CHECK(pool.available() == 3);
        CHECK(held.size() == 20);
        CHECK(held.data().data() == pool.memory(id) + 10);
    }
    CHECK(pool.available() == 4);
}

TEST_CASE("lease: moved, assigned, or empty, its buffer goes back exactly once") {
    test_loop on(picked(4));
    auto& pool = on.loop.service<buffer_pool>();
    std::uint16_t ids[3];
    for (auto& id : ids)
        REQUIRE(pool.pick(id));
    {
        lease first = pool.make_lease(ids[0], 0, 1);
        lease second = std::move(first);
        CHECK(pool.available() == 1);
        second = pool.make_lease(ids[1], 0, 2);
        CHECK(pool.available() == 2);
        CHECK(second.size() == 2);
        lease& itself = second;
        second = std::move(itself);
        CHECK(pool.available() == 2);
        second = lease();
        CHECK(pool.available() == 3);
        CHECK(second.size() == 0);
        std::vector<lease> many;
        many.push_back(pool.make_lease(ids[2], 0, 1));
        many.emplace_back();
        many.reserve(100);
        CHECK(pool.available() == 3);
    }
    CHECK(pool.available() == 4);
}

TEST_CASE("lease: one that was moved away names no bytes any more") {
    test_loop on(picked(1));
    auto& pool = on.loop.service<buffer_pool>();
    std::uint16_t id = 0;
    REQUIRE(pool.pick(id));
    lease first = pool.make_lease(id, 0, 5);
    {
        const lease second = std::move(first);
    }
    CHECK(pool.available() == 1);
    CHECK(first.size() == 0);
}

TEST_CASE("buffer_pool: none is picked twice, and an exhausted pool says so") {
    test_loop on(picked(16));
    auto& pool = on.loop.service<buffer_pool>();
    std::vector<std::uint16_t> ids;
    std::uint16_t id = 0;
    while (pool.pick(id))
        ids.push_back(id);
    CHECK(pool.available() == 0);
    std::ranges::sort(ids);
    CHECK(ids.size() == 16);
    CHECK(std::ranges::adjacent_find(ids) == ids.end());
    for (const auto each : ids)
        pool.give_back(each);
    CHECK(pool.available() == 16);
}

TEST_CASE(
    "buffer_pool: a quarter is kept back: then what arrives is copied and its buffer returns") {
    test_loop on(picked(8));
    auto& pool = on.loop.service<buffer_pool>();
    std::vector<lease> held;
    for (unsigned i = 0; i < 40; ++i) {
        std::uint16_t id = 0;
        REQUIRE(pool.pick(id));
        std::ranges::fill_n(pool.memory(id), 10, static_cast<std::byte>(i));
        held.push_back(pool.make_lease(pool.keep(id, 10), 2, 10));
        CHECK(pool.copies() == (i < 6 ? 0 : i - 5));
        CHECK(pool.available() == (i < 6 ? 7 - i : 2));
    }
    for (unsigned i = 0; i < 40; ++i) {
        CHECK(held[i].size() == 8);
        CHECK(std::ranges::all_of(
            held[i].data(), [i](std::byte each) { return each == static_cast<std::byte>(i); }));
    }
    held.erase(held.begin(), held.begin() + 20); // buffers, and copies
    CHECK(pool.available() == 8);
    CHECK(pool.copies() == 20);
    held.clear();
    CHECK(pool.copies() == 0);
}

TEST_CASE("buffer_pool: waiters are told once that a buffer has come back") {
    test_loop on(picked(1));
    auto& pool = on.loop.service<buffer_pool>();
    std::uint16_t id = 0;
    REQUIRE(pool.pick(id));
    counting_waiter one, two;
    {
        counting_waiter gone;
        pool.notify(gone);
    }
    pool.notify(one);
    pool.notify(one);
    pool.notify(two);
    pool.give_back(id);
    REQUIRE(pool.pick(id));
    pool.give_back(id);
    CHECK(one.told == 1);
    CHECK(two.told == 1);
}

TEST_CASE("buffer_pool: wrong options are refused by the loop's constructor") {
    for (const unsigned wrong : {0U, 3U, 65536U}) {
        CAPTURE(wrong);
        CHECK_THROWS_AS(loop(loop_options{.buffers = wrong}), std::invalid_argument);
    }
    CHECK_THROWS_AS(loop(loop_options{.buffer_bytes = 0}), std::invalid_argument);
}
