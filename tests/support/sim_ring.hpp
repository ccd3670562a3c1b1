#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <liburing.h>

#include <ringdown/runtime/ring.hpp>

#include "sim_kernel.hpp"

namespace ringdown::sim {

/// A provided buffer ring as the kernel sees it.
struct buffer_group {
    io_uring_buf_ring* memory = nullptr;
    unsigned entries = 0;
    unsigned short head = 0;
    unsigned short seen = 0;            // entries up to here were checked
    std::set<unsigned short> available; // a buffer provided twice would be handed out twice
};

/// The kernel's side of an io_uring: takes submissions, runs operations, posts completions.
class ring final : public file {
public:
    /// Answers through `params` like io_uring_setup(2).
    ring(sim_kernel& in, unsigned entries, io_uring_params& params);
    /// 0, or why io_uring_setup(2) would refuse.
    static int check(const sim_options& options, unsigned entries, unsigned flags);
    int enter(unsigned to_submit, unsigned min_complete, unsigned flags,
              std::optional<duration> timeout);
    int set_up(unsigned opcode, void* argument, unsigned count);
    void* map(std::size_t bytes, std::uint64_t offset);
    void released() override;
    [[nodiscard]] std::size_t in_flight() const { return operations_.size(); }
    [[nodiscard]] std::string describe() const;
    /// Some call into the kernel returns: where work is not deferred, it is done by then.
    void call_returns();
    void return_dropped();
    [[nodiscard]] bool has_dropped() const { return dropped_.has_value(); }

private:
    struct cqe {
        std::uint64_t user_data;
        completion what;
    };
    struct ready {
        ring::cqe cqe;
        file* on;
        bool in_place; // came to be during submission, which posts it even without GETEVENTS
        bool prompt;   // ... and is never held back: its success would have told nothing
        bool last;
    };
    using outcome = std::optional<completion>;

    // The queues: sim_ring.cpp.
    int submit(unsigned count);
    void run_woken();
    void post_ready(bool in_place_only);
    [[nodiscard]] bool runnable(const operation& which) const;
    [[nodiscard]] bool anything_ready() const;
    void post(const ready& what);
    void place(const cqe& what);
    void flush_backlog();
    [[nodiscard]] unsigned completions_waiting() const;
    [[nodiscard]] bool crowded() const; // a multishot operation ends when the queue is full
    unsigned& at(unsigned offset) const;
    int probe(io_uring_probe& answer, unsigned count) const;
    int register_buffers(const io_uring_buf_reg& request);

    // Operations: sim_operations.cpp.
    void prepare(operation& which);
    void issue(std::unique_ptr<operation> chain);
    void attempt(operation& which);
    void complete(operation& which, completion what);
    void append(const operation& which, completion what, bool last);
    void fail_links(std::unique_ptr<operation> chain, bool silent);
    outcome run(operation& which);
    outcome run_send(operation& which, tcp_socket& to);
    outcome run_receive(operation& which, tcp_socket& from);
    outcome run_poll(operation& which);
    outcome run_accept(operation& which, tcp_socket& from);
    outcome run_command(const operation& which, tcp_socket& on);
    outcome run_shutdown(operation& which);
    outcome run_timeout(operation& which);
    int move_timeout(std::uint64_t user_data, time_point to);
    int cancel(std::uint64_t user_data);
    void end_cancelled(operation& which);
    void end_notification(operation& which);
    const io_uring_buf* next_buffer(unsigned group); // null: none left
    void take_buffer(unsigned group);
    operation* find(std::uint64_t id);

    sim_kernel& kernel_;
    world& world_;
    io_uring_params params_{};
    std::unique_ptr<char[]> queues_;
    std::unique_ptr<io_uring_sqe[]> entries_;
    bool enabled_ = false;
    bool submitting_ = false;
    std::uint64_t next_id_ = 0;
    std::map<std::uint64_t, std::unique_ptr<operation>> operations_; // by age
    std::map<std::uint64_t, unsigned> names_in_use_; // user data whose last completion is to come
    std::vector<ready> ready_;
    std::deque<cqe> backlog_;
    std::optional<cqe> dropped_;
    std::map<unsigned, buffer_group> groups_;
};

} // namespace ringdown::sim
