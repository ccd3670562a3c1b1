#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <liburing.h>

#include "support.hpp"

namespace servers {

/// Buffers that the kernel picks from when data comes (IORING_REGISTER_PBUF_RING).
class provided_buffers {
public:
    // The kernel takes them in turn, so all of them go through the caches: 2,048 cost 10 % more CPU
    // at 16 KiB messages, and with 256 a thousand connections wait for one another.
    static constexpr unsigned count = 512;
    static constexpr unsigned bytes = 16 * 1024;
    static constexpr unsigned short group = 0;

    void open(io_uring& ring) {
        memory_ = static_cast<char*>(std::malloc(std::size_t{count} * stride));
        must(memory_, "buffers");
        void* shared = nullptr;
        must(posix_memalign(&shared, 4096, count * sizeof(io_uring_buf)) == 0, "buffer ring");
        io_uring_buf_reg registered{};
        registered.ring_addr = reinterpret_cast<std::uint64_t>(shared);
        registered.ring_entries = count;
        registered.bgid = group;
        must(io_uring_register_buf_ring(&ring, &registered, 0) == 0, "registering the buffers");
        ring_ = static_cast<io_uring_buf_ring*>(shared);
        io_uring_buf_ring_init(ring_);
        for (unsigned id = 0; id < count; ++id)
            give_back(static_cast<std::uint16_t>(id));
        publish();
    }

    [[nodiscard]] char* at(std::uint16_t id) const { return memory_ + std::size_t{id} * stride; }

    void give_back(std::uint16_t id) {
        io_uring_buf_ring_add(ring_, at(id), bytes, id, io_uring_buf_ring_mask(count), returned_++);
    }
    /// Shows the kernel what was given back.
    void publish() {
        if (returned_ > 0) io_uring_buf_ring_advance(ring_, returned_);
        returned_ = 0;
    }

private:
    // Not a power of two, so that the beginnings of the buffers do not share one cache set.
    static constexpr std::size_t stride = bytes + 64;

    char* memory_ = nullptr;
    io_uring_buf_ring* ring_ = nullptr;
    int returned_ = 0;
};

/// Received buffers that wait to be sent; short, so a vector will do.
class buffer_queue {
public:
    struct filled {
        std::uint16_t id;
        std::uint32_t bytes;
    };
    [[nodiscard]] bool empty() const { return first_ == waiting_.size(); }
    [[nodiscard]] const filled& front() const { return waiting_[first_]; }
    void push(filled one) { waiting_.push_back(one); }
    void pop() {
        if (++first_ < waiting_.size()) return;
        waiting_.clear();
        first_ = 0;
    }

private:
    std::vector<filled> waiting_;
    std::size_t first_ = 0;
};

} // namespace servers
