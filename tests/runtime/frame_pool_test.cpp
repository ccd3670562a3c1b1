#include <cstring>
#include <malloc.h>
#include <set>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/runtime/noop.hpp>

#include "support/fixture.hpp"

using namespace ringdown;

TEST_CASE("frame_pool: counts the blocks that are out, of every size") {
    const leak_guard unchanged;
    const auto before = frame_pool::statistics().live;
    std::vector<std::pair<void*, std::size_t>> blocks;
    for (const std::size_t bytes : {1, 63, 64, 65, 4032, 4033, 4096, 4097, 100'000}) {
        void* block = frame_pool::allocate(bytes);
        std::memset(block, 0xee, bytes);
        CHECK(reinterpret_cast<std::uintptr_t>(block) % alignof(std::max_align_t) == 0);
        blocks.emplace_back(block, bytes);
    }
    CHECK(frame_pool::statistics().live == before + 9);
    for (const auto& [block, bytes] : blocks)
        frame_pool::release(block, bytes);
    CHECK(frame_pool::statistics().live == before);
}

TEST_CASE("frame_pool: counts blocks by what they take from the heap") {
    const leak_guard unchanged;
    // Sixteen bytes at a time, of which the heap keeps eight.
    for (const auto& [bytes, footprint] :
         {std::pair{1, 16}, {8, 16}, {9, 32}, {24, 32}, {168, 176}}) {
        CHECK(frame_pool::footprint(bytes) == footprint);
        const auto before = frame_pool::live_of(footprint);
        void* block = frame_pool::allocate(bytes);
        CHECK(frame_pool::live_of(footprint) == before + 1);
        if (!sanitized) CHECK(malloc_usable_size(block) + 8 >= frame_pool::footprint(bytes));
        frame_pool::release(block, bytes);
        CHECK(frame_pool::live_of(footprint) == before);
    }
}

TEST_CASE("frame_pool: blocks that are out at the same time are different ones") {
    const leak_guard unchanged;
    std::set<void*> blocks;
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 100; ++i)
            blocks.insert(frame_pool::allocate(200));
        CHECK(blocks.size() == 100);
        for (void* block : blocks)
            frame_pool::release(block, 200);
        blocks.clear();
    }
}

TEST_CASE("frame_pool: serves a size again from what was given back") {
    if (sanitized) {
        MESSAGE("skip: under AddressSanitizer every block comes from the heap");
        return;
    }
    void* first = frame_pool::allocate(500);
    frame_pool::release(first, 500);
    const auto before = frame_pool::statistics().from_heap;
    for (int i = 0; i < 1000; ++i) {
        void* block = frame_pool::allocate(500);
        CHECK(block == first);
        frame_pool::release(block, 500);
    }
    CHECK(frame_pool::statistics().from_heap == before);
}

TEST_CASE("frame_pool: a block released by another thread joins that thread's") {
    void* block = frame_pool::allocate(300);
    std::thread([block] {
        frame_pool::release(block, 300);
        CHECK(frame_pool::statistics().live == -1);
        const auto before = frame_pool::statistics().from_heap;
        void* again = frame_pool::allocate(300);
        if (!sanitized) CHECK(frame_pool::statistics().from_heap == before);
        frame_pool::release(again, 300);
    }).join();
    // This thread's count is one too high from here on; a second one puts it right.
    void* other = nullptr;
    std::thread([&] { other = frame_pool::allocate(300); }).join();
    frame_pool::release(other, 300);
}

TEST_CASE("frame_pool: what another thread makes and this one ends does not pile up") {
    if (sanitized) {
        MESSAGE("skip: under AddressSanitizer every block comes from the heap");
        return;
    }
    constexpr std::size_t bytes = 700;
    constexpr std::int64_t blocks = 20'000;
    std::thread ends([&] {
        std::vector<void*> made(blocks);
        std::thread([&] {
            for (void*& each : made)
                each = frame_pool::allocate(bytes);
        }).join();
        for (void* each : made)
            frame_pool::release(each, bytes);
        CHECK(frame_pool::statistics().live == -blocks);

        // What was kept serves this thread; its own blocks are kept beside those of others.
        std::vector<void*> own(2 * frame_pool::foreign_max);
        const auto taken_from_heap = [&] {
            const auto before = frame_pool::statistics().from_heap;
            for (void*& each : own)
                each = frame_pool::allocate(bytes);
            return frame_pool::statistics().from_heap - before;
        };
        CHECK(taken_from_heap() == frame_pool::foreign_max);
        for (void* each : own)
            frame_pool::release(each, bytes);
        CHECK(taken_from_heap() == 0);
        for (void* each : own)
            frame_pool::release(each, bytes);
        CHECK(frame_pool::statistics().live == -blocks);
    });
    ends.join();
}

TEST_CASE("frame_pool: tasks take their frames from it, and none from the heap once warm") {
    if (sanitized) {
        MESSAGE("skip: under AddressSanitizer every block comes from the heap");
        return;
    }
    test_loop on;
    on.run([&]() -> task<void> {
        auto work = [&]() -> task<void> {
            for (int i = 0; i < 50; ++i)
                co_await turns(1);
        };
        co_await work();
        const auto before = frame_pool::statistics().from_heap;
        for (int i = 0; i < 20; ++i)
            co_await work();
        CHECK(frame_pool::statistics().from_heap == before);
    });
}
