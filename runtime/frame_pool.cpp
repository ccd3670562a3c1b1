#include <ringdown/runtime/frame_pool.hpp>

#include <array>
#include <new>
#include <numeric>

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
    std::array<free_block*, classes> heads{};
    std::array<std::int64_t, classes> live{};
    std::uint64_t from_heap = 0;

    ~free_lists() {
        for (free_block*& head : heads) {
            while (head) {
                free_block* next = head->next;
                ::operator delete(head);
                head = next;
            }
        }
    }
};

thread_local free_lists lists;

constexpr std::size_t class_of(std::size_t bytes) noexcept {
    return (bytes + heap_header + granule - 1) / granule;
}

constexpr std::size_t bytes_of(std::size_t size_class) noexcept {
    return size_class * granule - heap_header;
}

} // namespace

void* frame_pool::allocate(std::size_t bytes) {
    const std::size_t size_class = class_of(bytes);
    ++lists.live[size_class < classes ? size_class : 0];
    if (RINGDOWN_POOLED && size_class < classes) {
        if (free_block*& head = lists.heads[size_class]) {
            free_block* block = head;
            head = block->next;
            return block;
        }
    }
    ++lists.from_heap;
    return ::operator new(bytes_of(size_class));
}

void frame_pool::release(void* block, std::size_t bytes) noexcept {
    const std::size_t size_class = class_of(bytes);
    --lists.live[size_class < classes ? size_class : 0];
    if (RINGDOWN_POOLED && size_class < classes) {
        free_block*& head = lists.heads[size_class];
        head = ::new (block) free_block{head};
    } else {
        ::operator delete(block);
    }
}

frame_pool::counters frame_pool::statistics() noexcept {
    const auto& live = lists.live;
    return {std::accumulate(live.begin(), live.end(), std::int64_t{0}), lists.from_heap};
}

std::size_t frame_pool::footprint(std::size_t bytes) noexcept { return class_of(bytes) * granule; }

std::int64_t frame_pool::live_of(std::size_t footprint) noexcept {
    return lists.live[footprint / granule];
}

} // namespace ringdown
