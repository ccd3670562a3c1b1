#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <liburing.h>

#include "support/counting_system.hpp"

namespace ringdown::testing {

/// The Linux kernel, with a look at every entry that goes into the last ring that was mapped, and
/// at every completion that comes out: closes of descriptors with operations in flight are noted.
class watched_system final : public counting_system {
public:
    [[nodiscard]] const std::vector<std::string>& too_early() const noexcept { return too_early_; }
    [[nodiscard]] unsigned closes() const noexcept { return closes_; }
    [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_.size(); }

    int ring_setup(unsigned entries, io_uring_params& params) noexcept override {
        const int made = counting_system::ring_setup(entries, params);
        params_ = params;
        return made;
    }
    void* map_ring(int ring, std::size_t bytes, std::uint64_t offset) noexcept override {
        void* mapped = counting_system::map_ring(ring, bytes, offset);
        if (offset == IORING_OFF_SQES)
            entries_ = static_cast<io_uring_sqe*>(mapped);
        else
            queues_ = static_cast<char*>(mapped);
        seen_ = 0;
        return mapped;
    }
    int ring_enter(int ring, unsigned to_submit, unsigned min_complete, unsigned flags,
                   const void* argument, std::size_t bytes) noexcept override {
        look_at_completions();
        const unsigned head = load(params_.sq_off.head);
        for (unsigned i = 0; i < to_submit; ++i)
            look_at_entry(entries_[(head + i) & submission_mask()]);
        const int entered =
            counting_system::ring_enter(ring, to_submit, min_complete, flags, argument, bytes);
        look_at_completions();
        return entered;
    }
    int close(int fd) noexcept override {
        check_close(fd);
        return counting_system::close(fd);
    }

private:
    [[nodiscard]] unsigned load(unsigned offset) const noexcept {
        return __atomic_load_n(reinterpret_cast<unsigned*>(queues_ + offset), __ATOMIC_ACQUIRE);
    }
    [[nodiscard]] unsigned submission_mask() const noexcept {
        return load(params_.sq_off.ring_mask);
    }

    void look_at_entry(const io_uring_sqe& entry) {
        if (entry.opcode == IORING_OP_CLOSE) check_close(entry.fd);
        const bool tells = !(entry.flags & IOSQE_CQE_SKIP_SUCCESS);
        if (entry.user_data != 0 && tells) in_flight_[entry.user_data] = {entry.fd, entry.opcode};
    }
    void check_close(int fd) {
        ++closes_;
        for (const auto& [address, operation] : in_flight_)
            if (operation.fd == fd)
                too_early_.push_back("descriptor " + std::to_string(fd) +
                                     " was closed under an operation of code " +
                                     std::to_string(operation.code));
    }
    void look_at_completions() {
        if (!queues_) return;
        const auto* all = reinterpret_cast<const io_uring_cqe*>(queues_ + params_.cq_off.cqes);
        const unsigned mask = load(params_.cq_off.ring_mask);
        for (const unsigned tail = load(params_.cq_off.tail); seen_ != tail; ++seen_) {
            const io_uring_cqe& each = all[seen_ & mask];
            if (!(each.flags & IORING_CQE_F_MORE)) in_flight_.erase(each.user_data);
        }
    }

    struct in_flight_operation {
        int fd;
        unsigned code;
    };

    io_uring_params params_{};
    io_uring_sqe* entries_ = nullptr;
    char* queues_ = nullptr;
    unsigned seen_ = 0; // of the completion queue
    std::map<std::uint64_t, in_flight_operation> in_flight_;
    std::vector<std::string> too_early_;
    unsigned closes_ = 0;
};

} // namespace ringdown::testing
