#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

// Under AddressSanitizer every block comes from the heap, or a use after free would go unseen.
#if defined(__SANITIZE_ADDRESS__)
#define RINGDOWN_POOLED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RINGDOWN_POOLED 0
#endif
#endif
#ifndef RINGDOWN_POOLED
#define RINGDOWN_POOLED 1
#endif

namespace ringdown {

/// Recycles the memory of coroutine frames and state blocks, one free list per size and thread.
///
/// Private to the runtime: a block freed on another thread joins that thread's lists, up to
/// `foreign_max` of a size more than that thread has handed out itself. The heap takes the others
/// back, so that memory stays bounded where one thread makes what another ends.
class frame_pool {
public:
    static void* allocate(std::size_t bytes) {
        const std::size_t size_class = class_of(bytes);
        if (!RINGDOWN_POOLED || !own_ || size_class >= classes || !own_->of[size_class].head)
            return allocate_from_heap(size_class);
        free_list& list = own_->of[size_class];
        ++list.live;
        return std::exchange(list.head, list.head->next);
    }

    static void release(void* block, std::size_t bytes) noexcept {
        const std::size_t size_class = class_of(bytes);
        if (!RINGDOWN_POOLED || !own_ || size_class >= classes)
            return release_slowly(block, size_class);
        free_list& list = own_->of[size_class];
        if (list.live <= -foreign_max) [[unlikely]]
            return release_slowly(block, size_class);
        --list.live;
        list.head = ::new (block) free_block{list.head};
    }

    struct counters {
        std::int64_t live = 0;       ///< Blocks handed out less blocks given back, on this thread.
        std::uint64_t from_heap = 0; ///< Blocks that no free list could serve.
    };
    static counters statistics() noexcept;

    /// What a block of so many bytes takes from the heap, with what the heap itself adds.
    static std::size_t footprint(std::size_t bytes) noexcept { return class_of(bytes) * granule; }
    /// How many blocks of that footprint are handed out, on this thread; of those that it gave back
    /// to the heap for others, nothing is known here.
    static std::int64_t live_of(std::size_t footprint) noexcept;
    static constexpr std::size_t footprint_step = 16;
    static constexpr std::size_t footprint_max = 8192;
    /// Blocks of one size that a list keeps beyond those of its own thread.
    static constexpr std::int64_t foreign_max = 256;

private:
    // What the heap hands out: sixteen bytes at a time, less the eight in which it keeps the size.
    // So a block of 40 bytes costs 48, and nothing is lost between what is asked for and what is
    // kept.
    static constexpr std::size_t granule = footprint_step;
    static constexpr std::size_t heap_header = 8;
    // Blocks of up to 8 KiB are kept; larger ones are rare, and counted in the first place.
    static constexpr std::size_t classes = footprint_max / granule + 1;

    struct free_block {
        free_block* next;
    };

    struct free_list {
        free_block* head = nullptr;
        std::int64_t live = 0;
    };

    struct free_lists {
        std::array<free_list, classes> of{};
        std::uint64_t from_heap = 0;
        std::int64_t surplus = 0; // released to the heap, and not counted by any list
    };
    struct owner;

    static constexpr std::size_t class_of(std::size_t bytes) noexcept {
        return (bytes + heap_header + granule - 1) / granule;
    }
    static constexpr std::size_t bytes_of(std::size_t size_class) noexcept {
        return size_class * granule - heap_header;
    }
    // This thread's; null when its end has freed them, or there is no memory for them.
    static free_lists* own() noexcept;
    static void* allocate_from_heap(std::size_t size_class);
    static void release_slowly(void* block, std::size_t size_class) noexcept;

    // A pointer, and found at a fixed place behind the thread's own: a shared library asks for
    // anything else by a function call, which took an eighth of what a connection costs.
    [[gnu::tls_model("initial-exec")]] static constinit thread_local free_lists* own_;
};

/// Gives a class the pool's allocation.
struct pooled {
    static void* operator new(std::size_t bytes) { return frame_pool::allocate(bytes); }
    static void operator delete(void* block, std::size_t bytes) noexcept {
        frame_pool::release(block, bytes);
    }
};

} // namespace ringdown
