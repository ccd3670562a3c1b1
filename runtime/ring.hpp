#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <liburing.h>

#include <ringdown/runtime/capabilities.hpp>
#include <ringdown/runtime/system_calls.hpp>

namespace ringdown {

/// How an operation ended, or one of its results if it has several.
struct completion {
    int result = 0;          ///< What the system call would return, or a negated errno.
    std::uint32_t flags = 0; ///< IORING_CQE_F_*.

    /// True when the operation will complete again, so it is still in flight.
    [[nodiscard]] bool more() const noexcept { return (flags & IORING_CQE_F_MORE) != 0; }
};

struct ring_options {
    unsigned entries = 256; ///< Submission entries, rounded up to a power of two.
    /// Completion entries, rounded up likewise. The kernel sizes the table in which it looks up
    /// what is cancelled by them, up to this many.
    unsigned completion_entries = 8192;
    capability_set disabled{}; ///< Masked in addition to RINGDOWN_DISABLE.
};

/// An io_uring: memory in which submission entries go to the kernel and completions come back.
///
/// Belongs to one thread, the one that calls `enable`. A full submission queue submits and goes
/// on; completions that overflow their queue are fetched from the kernel and counted.
/// Source: io_uring_setup(2), io_uring_enter(2).
class ring {
public:
    using time_point = system_calls::time_point;

    /// Where the user's limit on locked memory is reached it waits, a quarter of a second at most,
    /// and then takes smaller queues; `entries`, `completion_entries` and `counters::memory_waits`
    /// tell. Throws `std::system_error` when the kernel refuses a ring, or to enter it, saying
    /// what to check.
    explicit ring(system_calls& calls, const ring_options& options = {});
    /// A ring with exactly these capabilities, unprobed; `options.disabled` is not looked at.
    ring(system_calls& calls, const capability_set& exactly, const ring_options& options);
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;
    ~ring();

    /// The thread that enabled it.
    [[nodiscard]] std::thread::id thread() const noexcept { return enabled_by_; }

    /// Binds the ring to the calling thread; nothing can be submitted before.
    void enable();

    /// The next submission entry, cleared. Submits first when the queue is full.
    io_uring_sqe& entry() {
        if (tail_ == room_until_) [[unlikely]]
            look_for_room();
        io_uring_sqe& sqe = submission_[tail_++ & submission_mask_];
        clear(sqe);
        return sqe;
    }

    /// Makes room for `count` entries, so that a chain of them is submitted whole.
    void reserve(unsigned count);

    /// Submits everything, and neither waits nor lets the kernel run what it deferred.
    void submit();

    /// Submits everything, then waits for a completion until `until` (absent: for ever) if `wait`.
    ///
    /// Errors: throws `std::system_error` when the kernel denies io_uring_enter, as a seccomp
    /// profile may at any time. Then the ring is lost: what is in flight never completes here,
    /// and nothing more is submitted.
    void enter(bool wait, std::optional<time_point> until = {});

    /// Calls `handle(user_data, completion)` for every completion that has arrived.
    template <class Handle>
    void reap(Handle handle) {
        for (;;) {
            if (!spilled_.empty()) [[unlikely]]
                reap_spilled(handle);
            const unsigned begin = *completion_head_;
            const unsigned end = load(completion_tail_);
            if (begin == end) {
                if (!fetch_overflowed()) return;
                continue;
            }
            unsigned head = begin;
            do {
                const io_uring_cqe& cqe = completions_[head & completion_mask_];
                const std::uint64_t user_data = cqe.user_data;
                const completion what{cqe.res, cqe.flags};
                // Given back before it is handled: handling may submit, and that may need room. It
                // may also take what is left out of the queue, to keep it (`spilled_`).
                store(completion_head_, ++head);
                handle(user_data, what);
            } while (head != end && head == *completion_head_);
            counters_.completions += head - begin;
        }
    }

    /// True when completions have arrived that were not reaped.
    [[nodiscard]] bool has_completions() const noexcept {
        return !spilled_.empty() || *completion_head_ != load(completion_tail_);
    }

    [[nodiscard]] const capability_set& capabilities() const noexcept { return capabilities_; }
    [[nodiscard]] bool has(capability which) const noexcept { return capabilities_.has(which); }
    /// The IORING_FEAT_* bits that the kernel answered with.
    [[nodiscard]] unsigned features() const noexcept { return features_; }
    [[nodiscard]] int descriptor() const noexcept { return fd_; }
    /// The sizes of its queues: fewer than asked for where locked memory was short.
    /// @{
    [[nodiscard]] unsigned entries() const noexcept { return entries_taken_; }
    [[nodiscard]] unsigned completion_entries() const noexcept { return completion_entries_taken_; }
    /// @}
    /// The kernel has denied io_uring_enter.
    [[nodiscard]] bool lost() const noexcept { return refusal_ != 0; }
    [[nodiscard]] system_calls& calls() noexcept { return calls_; }

    struct counters {
        std::uint64_t enters = 0;      ///< io_uring_enter calls.
        std::uint64_t submitted = 0;   ///< Entries that the kernel consumed.
        std::uint64_t completions = 0; ///< Completions reaped.
        std::uint64_t queue_full = 0;  ///< Times that a full submission queue was submitted early.
        std::uint64_t overflows = 0;   ///< Times that completions had overflowed their queue.
        /// Waits for locked memory that the kernel had not given back yet, when it was made.
        std::uint64_t memory_waits = 0;
    };
    [[nodiscard]] const counters& statistics() const noexcept { return counters_; }

private:
    struct mapping {
        void* memory = nullptr;
        std::size_t bytes = 0;
    };

    void map(const io_uring_params& params);
    mapping map_part(std::size_t bytes, std::uint64_t offset);
    void release() noexcept;
    // In pieces of one vector register: g++ 12 clears the whole by a string instruction, which
    // takes longer than everything else that a submission costs.
    static void clear(io_uring_sqe& sqe) noexcept {
        auto* bytes = reinterpret_cast<unsigned char*>(&sqe);
        static_assert(sizeof sqe == 64);
        std::memset(bytes, 0, 16);
        std::memset(bytes + 16, 0, 16);
        std::memset(bytes + 32, 0, 16);
        std::memset(bytes + 48, 0, 16);
    }

    // The kernel is the other thread of these queues, hence acquire and release.
    static unsigned load(unsigned* shared) noexcept {
        return std::atomic_ref(*shared).load(std::memory_order_acquire);
    }
    static void store(unsigned* shared, unsigned value) noexcept {
        std::atomic_ref(*shared).store(value, std::memory_order_release);
    }

    [[nodiscard]] unsigned unsubmitted() const noexcept { return tail_ - load(submission_head_); }
    int call_enter(unsigned submit, unsigned wait, unsigned flags, std::optional<time_point> until);
    void check_enter();
    void give_up(int refusal) noexcept;
    void look_for_room();
    void make_room();
    bool fetch_overflowed();
    void spill_completions();
    template <class Handle>
    void reap_spilled(Handle& handle) {
        // Older than everything in the queue; what spills meanwhile is younger than these.
        std::vector<io_uring_cqe> batch;
        batch.swap(spilled_);
        for (const io_uring_cqe& cqe : batch) {
            ++counters_.completions;
            handle(cqe.user_data, completion{cqe.res, cqe.flags});
        }
    }

    system_calls& calls_;
    capability_set capabilities_;
    counters counters_;
    unsigned features_ = 0;
    int fd_ = -1;
    int enter_fd_ = -1; // the registered index where the kernel has that, else fd_
    unsigned enter_flags_ = 0;
    unsigned entries_taken_ = 0;
    unsigned completion_entries_taken_ = 0;
    int refusal_ = 0; // of io_uring_enter, a negated errno; then the ring is lost
    std::thread::id enabled_by_;

    mapping queues_;
    mapping entries_;
    io_uring_sqe* submission_ = nullptr;
    unsigned* submission_head_ = nullptr;
    unsigned* submission_tail_ = nullptr;
    unsigned* submission_flags_ = nullptr;
    unsigned submission_mask_ = 0;
    unsigned tail_ = 0;       // entries handed out; published by submit
    unsigned room_until_ = 0; // the tail at which the queue may be full: looked up when reached
    io_uring_cqe* completions_ = nullptr;
    unsigned* completion_head_ = nullptr;
    unsigned* completion_tail_ = nullptr;
    unsigned completion_mask_ = 0;

    // Completions taken out of the way of a submission that the kernel refused until there was
    // room.
    std::vector<io_uring_cqe> spilled_;
};

} // namespace ringdown
