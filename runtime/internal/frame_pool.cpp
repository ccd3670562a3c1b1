#include <ringdown/runtime/internal/frame_pool.hpp>

namespace ringdown {

constinit thread_local frame_pool::free_lists* frame_pool::own_ = nullptr;

// Frees what the lists hold when its thread ends. What is released after that goes to the heap.
struct frame_pool::owner {
    owner() noexcept { own_ = new (std::nothrow) free_lists; }
    owner(const owner&) = delete;
    owner& operator=(const owner&) = delete;
    ~owner() {
        const free_lists* lists = std::exchange(own_, nullptr);
        if (!lists) return;
        for (const free_list& each : lists->of)
            for (free_block* block = each.head; block;)
                ::operator delete(std::exchange(block, block->next));
        delete lists;
    }
};

// Not thread-local themselves: a library that dlopen loads has to make do with the few hundred
// bytes that are left of what the C library set apart for such variables.
frame_pool::free_lists* frame_pool::own() noexcept {
    static thread_local owner here;
    (void)here;
    return own_;
}

void* frame_pool::allocate_from_heap(std::size_t size_class) {
    if (free_lists* lists = own()) {
        ++lists->of[size_class < classes ? size_class : 0].live;
        ++lists->from_heap;
    }
    return ::operator new(bytes_of(size_class));
}

// What is large, or the first that this thread releases, or comes after the lists' end, or is one
// of too many that another thread has made.
void frame_pool::release_slowly(void* block, std::size_t size_class) noexcept {
    free_lists* lists = own();
    const bool keeps = RINGDOWN_POOLED && lists && size_class < classes;
    if (lists) {
        free_list& list = lists->of[size_class < classes ? size_class : 0];
        if (keeps && list.live <= -foreign_max) {
            ++lists->surplus;
            ::operator delete(block);
            return;
        }
        --list.live;
    }
    if (!keeps) {
        ::operator delete(block);
        return;
    }
    free_list& list = lists->of[size_class];
    list.head = ::new (block) free_block{list.head};
}

frame_pool::counters frame_pool::statistics() noexcept {
    const free_lists* lists = own();
    if (!lists) return {};
    counters made{-lists->surplus, lists->from_heap};
    for (const free_list& each : lists->of)
        made.live += each.live;
    return made;
}

std::int64_t frame_pool::live_of(std::size_t footprint) noexcept {
    const free_lists* lists = own();
    return lists ? lists->of[footprint / granule].live : 0;
}

} // namespace ringdown
