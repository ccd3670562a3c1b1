#include <ringdown/runtime/frame_pool.hpp>

namespace ringdown {

constinit thread_local frame_pool::free_lists* frame_pool::own_ = nullptr;

// Frees what the lists hold when its thread ends. What is released after that goes to the heap.
struct frame_pool::owner {
    free_lists& lists;

    explicit owner(free_lists& of) noexcept : lists(of) { own_ = &of; }
    owner(const owner&) = delete;
    owner& operator=(const owner&) = delete;
    ~owner() {
        own_ = nullptr;
        for (free_list& each : lists.of)
            while (each.head)
                ::operator delete(std::exchange(each.head, each.head->next));
    }
};

frame_pool::free_lists& frame_pool::own() {
    static constinit thread_local free_lists lists;
    static thread_local owner here(lists);
    (void)here;
    return lists;
}

void* frame_pool::allocate_from_heap(std::size_t size_class) {
    free_lists& lists = own();
    ++lists.of[size_class < classes ? size_class : 0].live;
    ++lists.from_heap;
    return ::operator new(bytes_of(size_class));
}

// What is large, or the first that this thread releases, or comes after the lists' end, or is one
// of too many that another thread has made.
void frame_pool::release_slowly(void* block, std::size_t size_class) noexcept {
    free_lists& lists = own();
    free_list& list = lists.of[size_class < classes ? size_class : 0];
    const bool keeps = RINGDOWN_POOLED && own_ && size_class < classes;
    if (keeps && list.live <= -foreign_max) {
        ++lists.surplus;
        ::operator delete(block);
        return;
    }
    --list.live;
    if (keeps)
        list.head = ::new (block) free_block{list.head};
    else
        ::operator delete(block);
}

frame_pool::counters frame_pool::statistics() noexcept {
    const free_lists& lists = own();
    counters made{-lists.surplus, lists.from_heap};
    for (const free_list& each : lists.of)
        made.live += each.live;
    return made;
}

std::int64_t frame_pool::live_of(std::size_t footprint) noexcept {
    return own().of[footprint / granule].live;
}

} // namespace ringdown
