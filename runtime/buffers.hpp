#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <ringdown/runtime/internal/intrusive_list.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown {

class buffer_pool;

/// Received bytes in a buffer of the loop, which goes back by itself when the lease ends; or, where
/// the loop was short of buffers, in memory of their own size, which is freed then.
///
/// Lifetime: ends before its loop does, and may outlive its connection. Threads: the loop's own.
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
    lease(buffer_pool& pool, std::uint32_t id, const std::byte* at, std::uint32_t bytes) noexcept
        : pool_(&pool), id_(id), bytes_(bytes), at_(at) {}
    void end() noexcept;

    buffer_pool* pool_ = nullptr;
    std::uint32_t id_ = 0;
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
/// A quarter of them is kept back: when fewer are left, what arrives is copied into a block of its
/// size and its buffer goes back at once. So nobody, however long it holds what it received, takes
/// the buffers that others receive into.
/// Source: io_uring_register(2), IORING_REGISTER_PBUF_RING (Linux 5.19).
class buffer_pool final : public loop_service {
public:
    static constexpr std::uint16_t group = 0;

    explicit buffer_pool(loop& loop);
    ~buffer_pool() override;

    /// True when the kernel picks buffers, by IOSQE_BUFFER_SELECT and `group`.
    [[nodiscard]] bool kernel_selects() const noexcept { return ring_ != nullptr; }
    [[nodiscard]] std::size_t buffer_bytes() const noexcept { return bytes_each_; }
    /// Buffers not out on lease nor holding data that was received and not yet read.
    [[nodiscard]] unsigned available() const noexcept { return available_; }
    [[nodiscard]] unsigned count() const noexcept { return count_; }

    /// True when what arrives is copied, so that buffers are left for others.
    [[nodiscard]] bool is_short() const noexcept { return available_ < kept_back_; }
    /// Copies that are held: leased, or not yet read.
    [[nodiscard]] std::size_t copies() const noexcept { return copies_.size() - unused_.size(); }

    /// The kernel has filled a buffer that it selected.
    void taken_by_kernel() noexcept { --available_; }
    /// Picks a buffer where the kernel does not; false when there is none.
    bool pick(std::uint16_t& id) noexcept;
    /// Keeps what was received into a buffer: there, or in a copy when buffers are short. Answers
    /// the number of what holds it.
    std::uint32_t keep(std::uint16_t id, std::size_t bytes) noexcept {
        return is_short() ? keep_copy(id, bytes) : id;
    }
    /// Keeps these bytes, which are no buffer's. False where memory has run out.
    bool copy(std::span<const std::byte> bytes, std::uint32_t& id) noexcept;
    /// Of a buffer, or of a copy: these have the numbers from `count` on.
    [[nodiscard]] std::byte* memory(std::uint32_t id) noexcept {
        if (id >= count_) [[unlikely]]
            return copies_[id - count_].get();
        return memory_.get() + id * bytes_each_;
    }
    /// Gives a buffer back, or frees a copy, without a lease ever having been made of it.
    void give_back(std::uint32_t id) noexcept;
    /// A lease of the bytes `[begin, end)` of a buffer or copy.
    lease make_lease(std::uint32_t id, std::size_t begin, std::size_t end) noexcept {
        return {*this, id, memory(id) + begin, static_cast<std::uint32_t>(end - begin)};
    }
    /// Tells `waiter`, once, when a buffer has come back.
    void notify(buffer_waiter& waiter) noexcept {
        if (!waiter.linked()) waiters_.push_back(waiter);
    }

    /// A place for each buffer and copy in one list, for queues of what was received.
    /// @{
    struct queued {
        std::uint32_t bytes = 0;
        std::uint32_t next = 0;
    };
    [[nodiscard]] queued& link(std::uint32_t id) noexcept { return links_[id]; }
    /// @}

private:
    friend class lease;

    void offer(std::uint16_t id) noexcept;
    std::uint32_t keep_copy(std::uint16_t id, std::size_t bytes) noexcept;
    void make_place();

    loop& on_;
    unsigned count_;
    unsigned kept_back_;
    std::size_t bytes_each_;
    unsigned available_;
    std::unique_ptr<std::byte[]> memory_;
    std::vector<queued> links_;
    std::vector<std::uint16_t> free_; // used where the kernel does not select
    std::vector<std::unique_ptr<std::byte[]>> copies_;
    std::vector<std::uint32_t> unused_; // numbers of copies that hold nothing
    io_uring_buf* ring_ = nullptr;
    std::uint16_t tail_ = 0;
    intrusive_list<buffer_waiter, buffer_waiter> waiters_;
};

inline void lease::end() noexcept {
    if (auto* pool = std::exchange(pool_, nullptr)) pool->give_back(id_);
}

} // namespace ringdown
