#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <ringdown/runtime/intrusive_list.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown {

class buffer_pool;

/// Received bytes in a buffer of the loop, which goes back by itself when the lease ends.
///
/// Lifetime: ends before its loop does; while it lasts, the loop has one buffer less to receive
/// into. Threads: the loop's own.
class lease {
public:
    lease() noexcept = default;
    lease(lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), id_(other.id_), bytes_(other.bytes_),
          at_(other.at_) {}
    lease& operator=(lease&& other) noexcept {
        if (this != &other) {
            end();
            pool_ = std::exchange(other.pool_, nullptr);
            id_ = other.id_;
            bytes_ = other.bytes_;
            at_ = other.at_;
        }
        return *this;
    }
    ~lease() { end(); }

    [[nodiscard]] std::span<const std::byte> data() const noexcept {
        return pool_ ? std::span(at_, bytes_) : std::span<const std::byte>();
    }
    [[nodiscard]] std::size_t size() const noexcept { return pool_ ? bytes_ : 0; }

private:
    friend class buffer_pool;
    lease(buffer_pool& pool, std::uint16_t id, const std::byte* at, std::uint32_t bytes) noexcept
        : pool_(&pool), id_(id), bytes_(bytes), at_(at) {}
    void end() noexcept;

    buffer_pool* pool_ = nullptr;
    std::uint16_t id_ = 0;
    std::uint32_t bytes_ = 0;
    const std::byte* at_ = nullptr;
};

/// Told when a buffer has come back to a pool that was exhausted.
class buffer_waiter : public list_hook<buffer_waiter> {
public:
    virtual void buffer_returned() noexcept = 0;

protected:
    ~buffer_waiter() = default;
};

/// The buffers that a loop receives into, shared by all its connections.
///
/// Where the kernel has buffer rings it picks one as data arrives; else one is picked before.
/// Source: io_uring_register(2), IORING_REGISTER_PBUF_RING (Linux 5.19).
class buffer_pool final : public loop_service {
public:
    static constexpr std::uint16_t group = 0;

    explicit buffer_pool(loop& on);
    ~buffer_pool() override;

    /// True when the kernel picks buffers, by IOSQE_BUFFER_SELECT and `group`.
    [[nodiscard]] bool kernel_selects() const noexcept { return ring_ != nullptr; }
    [[nodiscard]] std::size_t buffer_bytes() const noexcept { return bytes_each_; }
    /// Buffers not out on lease nor holding data that was received and not yet read.
    [[nodiscard]] unsigned available() const noexcept { return available_; }
    [[nodiscard]] unsigned count() const noexcept { return count_; }

    /// The kernel has filled a buffer that it selected.
    void taken_by_kernel() noexcept { --available_; }
    /// Picks a buffer where the kernel does not; false when there is none.
    bool pick(std::uint16_t& id) noexcept;
    [[nodiscard]] std::byte* memory(std::uint16_t id) noexcept {
        return memory_.get() + id * bytes_each_;
    }
    /// Gives a buffer back without a lease ever having been made of it.
    void give_back(std::uint16_t id) noexcept;
    /// A lease of the bytes `[begin, end)` of a buffer.
    lease make_lease(std::uint16_t id, std::size_t begin, std::size_t end) noexcept {
        return {*this, id, memory(id) + begin, static_cast<std::uint32_t>(end - begin)};
    }
    /// Tells `waiter`, once, when a buffer has come back.
    void notify(buffer_waiter& waiter) noexcept {
        if (!waiter.linked()) waiters_.push_back(waiter);
    }

    /// A place for each buffer in one list, for queues of received buffers.
    /// @{
    struct queued {
        std::uint32_t bytes = 0;
        std::uint16_t next = 0;
    };
    [[nodiscard]] queued& link(std::uint16_t id) noexcept { return links_[id]; }
    /// @}

private:
    friend class lease;

    void offer(std::uint16_t id) noexcept;

    loop& on_;
    unsigned count_;
    std::size_t bytes_each_;
    unsigned available_;
    std::unique_ptr<std::byte[]> memory_;
    std::vector<queued> links_;
    std::vector<std::uint16_t> free_; // used where the kernel does not select
    io_uring_buf* ring_ = nullptr;
    std::uint16_t tail_ = 0;
    intrusive_list<buffer_waiter, buffer_waiter> waiters_;
};

inline void lease::end() noexcept {
    if (auto* pool = std::exchange(pool_, nullptr)) pool->give_back(id_);
}

} // namespace ringdown
