#pragma once

#include <cstddef>
#include <cstdint>

namespace ringdown {

/// Recycles the memory of coroutine frames and state blocks, one free list per size and thread.
///
/// Private to the runtime: a block freed on another thread simply joins that thread's lists.
class frame_pool {
public:
    static void* allocate(std::size_t bytes);
    static void release(void* block, std::size_t bytes) noexcept;

    struct counters {
        std::int64_t live = 0;       ///< Blocks handed out less blocks given back, on this thread.
        std::uint64_t from_heap = 0; ///< Blocks that no free list could serve.
    };
    static counters statistics() noexcept;

    /// What a block of so many bytes takes from the heap, with what the heap itself adds.
    static std::size_t footprint(std::size_t bytes) noexcept;
    /// How many blocks of that footprint are handed out, on this thread.
    static std::int64_t live_of(std::size_t footprint) noexcept;
    static constexpr std::size_t footprint_step = 16;
    static constexpr std::size_t footprint_max = 8192;
};

/// Gives a class the pool's allocation.
struct pooled {
    static void* operator new(std::size_t bytes) { return frame_pool::allocate(bytes); }
    static void operator delete(void* block, std::size_t bytes) noexcept {
        frame_pool::release(block, bytes);
    }
};

} // namespace ringdown
