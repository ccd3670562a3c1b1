#include <ringdown/runtime/frame_pool.hpp>

#include <array>
#include <new>

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
namespace {

// What the heap hands out: sixteen bytes at a time, less the eight in which it keeps the size. So a
// block of 40 bytes costs 48, and nothing is lost between what is asked for and what is kept.
constexpr std::size_t granule = frame_pool::footprint_step;
constexpr std::size_t heap_header = 8;
// Blocks of up to 8 KiB are kept; larger ones are rare, and counted in the first place.
constexpr std::size_t classes = frame_pool::footprint_max / granule + 1;

struct free_block {
    free_block* next;
};

struct free_lists {
    struct one {
        free_block* head = nullptr;
        std::int64_t live = 0;
    };
    std::array<one, classes> of{};
    std::uint64_t from_heap = 0;

    ~free_lists() {
        for (one& each : of) {
            while (free_block* block = each.head) {
                each.head = block->next;
                ::operator delete(block);
            }
        }
    }
};

thread_local free_lists lists;

// The library's own thread-local memory is found by a call; eight bytes of what every thread has
// from the beginning, by one load.
[[gnu::tls_model("initial-exec")]] constinit thread_local free_lists* found = nullptr;

[[gnu::cold]] free_lists& find_lists() noexcept { return *(found = &lists); }

free_lists& own_lists() noexcept {
    if (found) [[likely]]
        return *found;
    return find_lists();
}

constexpr std::size_t class_of(std::size_t bytes) noexcept {
    return (bytes + heap_header + granule - 1) / granule;
}

constexpr std::size_t bytes_of(std::size_t size_class) noexcept {
    return size_class * granule - heap_header;
}

} // namespace

void* frame_pool::allocate(std::size_t bytes) {
    const std::size_t size_class = class_of(bytes);
    free_lists& own = own_lists();
    free_lists::one& list = own.of[size_class < classes ? size_class : 0];
    ++list.live;
    if (free_block* block = list.head) [[likely]] {
        list.head = block->next;
        return block;
    }
    ++own.from_heap;
    return ::operator new(bytes_of(size_class));
}

void frame_pool::release(void* block, std::size_t bytes) noexcept {
    const std::size_t size_class = class_of(bytes);
    const bool kept = RINGDOWN_POOLED && size_class < classes;
    free_lists::one& list = own_lists().of[size_class < classes ? size_class : 0];
    --list.live;
    if (kept)
        list.head = ::new (block) free_block{list.head};
    else
        ::operator delete(block);
}

frame_pool::counters frame_pool::statistics() noexcept {
    counters made{0, own_lists().from_heap};
    for (const free_lists::one& each : own_lists().of)
        made.live += each.live;
    return made;
}

std::size_t frame_pool::footprint(std::size_t bytes) noexcept { return class_of(bytes) * granule; }

std::int64_t frame_pool::live_of(std::size_t footprint) noexcept {
    return own_lists().of[footprint / granule].live;
}

} // namespace ringdown
