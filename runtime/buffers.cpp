#include <ringdown/runtime/buffers.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include <ringdown/runtime/internal/assert.hpp>

namespace ringdown {
namespace {

constexpr std::size_t page = 4096;

// Enough that those who receive in one turn seldom find none, and the most of them can be leased.
constexpr unsigned part_kept_back = 4;

} // namespace

buffer_pool::buffer_pool(loop& loop)
    : on_(loop), count_(loop.options().buffers), kept_back_(std::max(count_ / part_kept_back, 1U)),
      bytes_each_(loop.options().buffer_bytes), available_(count_), links_(count_) {
    memory_ = std::make_unique_for_overwrite<std::byte[]>(count_ * bytes_each_);

    if (on_.has(capability::buffer_ring)) {
        const std::size_t bytes = (count_ * sizeof(io_uring_buf) + page - 1) / page * page;
        ring_ = static_cast<io_uring_buf*>(std::aligned_alloc(page, bytes));
        if (!ring_) throw std::bad_alloc();
        io_uring_buf_reg request{};
        request.ring_addr = reinterpret_cast<std::uintptr_t>(ring_);
        request.ring_entries = count_;
        request.bgid = group;
        ring_[0].resv = 0; // the tail overlays it
        if (on_.calls().ring_register(on_.own_ring().descriptor(), IORING_REGISTER_PBUF_RING,
                                      &request, 1) < 0) {
            std::free(ring_);
            ring_ = nullptr;
        }
    }
    free_.reserve(count_);
    for (unsigned id = 0; id < count_; ++id)
        offer(static_cast<std::uint16_t>(id));
}

buffer_pool::~buffer_pool() {
    require(available_ == count_ && copies() == 0,
            "a lease outlived its loop; let every lease end before the loop is destroyed");
    if (!ring_) return;
    io_uring_buf_reg request{};
    request.bgid = group;
    on_.calls().ring_register(on_.own_ring().descriptor(), IORING_UNREGISTER_PBUF_RING, &request,
                              1);
    std::free(ring_);
}

bool buffer_pool::pick(std::uint16_t& id) noexcept {
    if (free_.empty()) return false;
    id = free_.back();
    free_.pop_back();
    --available_;
    return true;
}

// Where memory has run out the buffer stays away after all.
std::uint32_t buffer_pool::keep_copy(std::uint16_t id, std::size_t bytes) noexcept {
    std::uint32_t kept = id;
    if (copy(std::span(memory(id), bytes), kept)) give_back(id);
    return kept;
}

bool buffer_pool::copy(std::span<const std::byte> bytes, std::uint32_t& id) noexcept {
    try {
        auto block = std::make_unique_for_overwrite<std::byte[]>(bytes.size());
        if (unused_.empty()) make_place();
        id = unused_.back();
        unused_.pop_back();
        std::memcpy(block.get(), bytes.data(), bytes.size());
        copies_[id - count_] = std::move(block);
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

// For one copy more; that it comes back needs no memory.
void buffer_pool::make_place() {
    const auto places = copies_.size() + 1;
    if (unused_.capacity() < places) unused_.reserve(2 * places);
    links_.resize(count_ + places);
    copies_.resize(places);
    unused_.push_back(static_cast<std::uint32_t>(count_ + places - 1));
}

void buffer_pool::give_back(std::uint32_t id) noexcept {
    if (id >= count_) [[unlikely]] {
        copies_[id - count_].reset();
        unused_.push_back(id);
        return;
    }
    ++available_;
    offer(static_cast<std::uint16_t>(id));
    while (!waiters_.empty() && available_ > 0)
        waiters_.pop_front().buffer_returned();
}

void buffer_pool::offer(std::uint16_t id) noexcept {
    if (!ring_) {
        free_.push_back(id);
        return;
    }
    io_uring_buf& slot = ring_[tail_ & (count_ - 1)];
    slot.addr = reinterpret_cast<std::uintptr_t>(memory(id));
    slot.len = static_cast<unsigned>(bytes_each_);
    slot.bid = id;
    // The kernel reads the slot after it has read the tail.
    std::atomic_ref(ring_[0].resv).store(++tail_, std::memory_order_release);
}

} // namespace ringdown
