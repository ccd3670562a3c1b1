#include "sim_ring.hpp"

#include <atomic>
#include <bit>

#include <ringdown/runtime/internal/uapi.hpp>

namespace ringdown::sim {
namespace {

// The layout of the queues is ours to choose; the library learns it from io_uring_params.
enum offset : unsigned {
    sq_head = 0,
    sq_tail = 4,
    sq_mask = 8,
    sq_entries = 12,
    sq_flags = 16,
    sq_dropped = 20,
    cq_head = 64,
    cq_tail = 68,
    cq_mask = 72,
    cq_entries = 76,
    cq_overflow = 80,
    cq_flags = 84,
    cqes = 128,
};

unsigned queue_size(unsigned asked, unsigned most) {
    const unsigned size = std::bit_ceil(std::min(asked, 32'768U));
    return most ? std::min(size, std::bit_floor(most)) : size;
}

} // namespace

int ring::check(const sim_options& options, unsigned entries, unsigned flags) {
    unsigned known = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                     IORING_SETUP_SUBMIT_ALL;
    auto offer = [&](capability which, unsigned flag) {
        if (!options.missing.has(which)) known |= flag;
    };
    offer(capability::single_issuer, IORING_SETUP_SINGLE_ISSUER);
    offer(capability::defer_taskrun, IORING_SETUP_DEFER_TASKRUN);
    offer(capability::coop_taskrun, IORING_SETUP_COOP_TASKRUN);
    offer(capability::no_sqarray, uapi::setup_no_sqarray);
    const bool deferred_alone =
        (flags & IORING_SETUP_DEFER_TASKRUN) && !(flags & IORING_SETUP_SINGLE_ISSUER);
    return entries == 0 || (flags & ~known) || deferred_alone ? -EINVAL : 0;
}

ring::ring(sim_kernel& in, unsigned entries, io_uring_params& params)
    : kernel_(in), world_(in.world_) {
    const sim_options& limits = in.options_;
    params.sq_entries = queue_size(entries, limits.submission_entries_max);
    const unsigned asked =
        params.flags & IORING_SETUP_CQSIZE ? params.cq_entries : 2 * params.sq_entries;
    params.cq_entries = queue_size(asked, limits.completion_entries_max);
    params.features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |
                      IORING_FEAT_EXT_ARG | IORING_FEAT_FAST_POLL;
    if (!limits.missing.has(capability::skip_success)) params.features |= IORING_FEAT_CQE_SKIP;
    const auto array = static_cast<unsigned>(cqes + params.cq_entries * sizeof(io_uring_cqe));
    params.sq_off = {sq_head, sq_tail, sq_mask, sq_entries, sq_flags, sq_dropped, array, 0, 0};
    params.cq_off = {cq_head, cq_tail, cq_mask, cq_entries, cq_overflow, cqes, cq_flags, 0, 0};
    params_ = params;
    queues_ = std::make_unique<char[]>(array + params.sq_entries * sizeof(unsigned));
    entries_ = std::make_unique<io_uring_sqe[]>(params.sq_entries);
    at(sq_mask) = params.sq_entries - 1;
    at(sq_entries) = params.sq_entries;
    at(cq_mask) = params.cq_entries - 1;
    at(cq_entries) = params.cq_entries;
    enabled_ = !(params.flags & IORING_SETUP_R_DISABLED);
}

unsigned& ring::at(unsigned offset) const {
    return *reinterpret_cast<unsigned*>(queues_.get() + offset);
}

void* ring::map(std::size_t bytes, std::uint64_t offset) {
    const std::size_t entries_bytes = params_.sq_entries * sizeof(io_uring_sqe);
    const std::size_t queues_bytes = params_.sq_off.array + params_.sq_entries * sizeof(unsigned);
    if (offset == IORING_OFF_SQES) return bytes <= entries_bytes ? entries_.get() : nullptr;
    return bytes <= queues_bytes ? queues_.get() : nullptr;
}

int ring::enter(unsigned to_submit, unsigned min_complete, unsigned flags,
                std::optional<duration> timeout) {
    if (!enabled_) return -EBADFD;
    std::optional<time_point> until;
    if (timeout) until = world_.now() + *timeout;
    int submitted = 0;
    if (to_submit > 0) {
        if (!backlog_.empty() && world_.one_in(2)) return -EBUSY;
        if (world_.one_in(50)) return -EAGAIN;
        submitted = submit(to_submit);
    }
    const bool deferred = params_.flags & IORING_SETUP_DEFER_TASKRUN;
    if (!(flags & IORING_ENTER_GETEVENTS) || static_cast<unsigned>(submitted) < to_submit) {
        if (!deferred) run_woken();
        post_ready(deferred);
        return submitted;
    }
    flush_backlog();
    min_complete = std::min(min_complete, params_.cq_entries);
    for (;;) {
        run_woken();
        post_ready(false);
        if (completions_waiting() >= min_complete) return submitted;
        if (anything_ready()) continue; // held back by the dice
        if (until && world_.now() >= *until) return submitted ? submitted : -ETIME;
        if (!submitted && world_.one_in(16)) return -EINTR;
        if (!kernel_.sleep(until)) kernel_.fail("waits for ever: nothing can complete any more");
    }
}

void ring::call_returns() {
    if (!enabled_ || params_.flags & IORING_SETUP_DEFER_TASKRUN) return;
    run_woken();
    post_ready(false);
}

int ring::submit(unsigned count) {
    const unsigned tail = std::atomic_ref(at(sq_tail)).load(std::memory_order_acquire);
    count = std::min(count, tail - at(sq_head));
    unsigned budget = world_.one_in(6) ? 1 + static_cast<unsigned>(world_.below(count)) : count;
    std::unique_ptr<operation> chain;
    operation* last = nullptr;
    unsigned taken = 0;
    submitting_ = true;
    for (; taken < count && (chain || taken < budget); ++taken) {
        unsigned index = at(sq_head)++ & at(sq_mask);
        if (!(params_.flags & uapi::setup_no_sqarray))
            index = at(params_.sq_off.array + index * static_cast<unsigned>(sizeof(unsigned)));
        auto next = std::make_unique<operation>();
        next->sqe = entries_[index];
        prepare(*next);
        const bool linked = next->sqe.flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK);
        operation* const added = next.get();
        (chain ? last->next : chain) = std::move(next);
        last = added;
        if (!linked) issue(std::move(chain));
    }
    if (chain) {
        world_.violation("a chain was submitted in parts; reserve its entries first");
        issue(std::move(chain));
    }
    submitting_ = false;
    return static_cast<int>(taken);
}

bool ring::runnable(const operation& which) const {
    return which.woken && which.held_until <= world_.now();
}

bool ring::anything_ready() const {
    return !ready_.empty() ||
           std::ranges::any_of(operations_, [&](auto& each) { return runnable(*each.second); });
}

// What was woken is tried in any order, and some of it only next time.
void ring::run_woken() {
    std::vector<std::uint64_t> woken;
    for (auto& [id, each] : operations_)
        if (runnable(*each) && !world_.one_in(5)) woken.push_back(id);
    if (world_.disturbed)
        for (std::size_t i = woken.size(); i > 1; --i)
            std::swap(woken[i - 1], woken[world_.below(i)]);
    for (const std::uint64_t id : woken)
        if (operation* each = find(id)) attempt(*each);
}

// Posts some of what has completed, in any order, but each file's in the order that it happened in.
void ring::post_ready(bool in_place_only) {
    std::vector<ready> batch, later;
    std::set<file*> held;
    for (const ready& each : ready_) {
        const bool hold = !each.prompt && ((in_place_only && !each.in_place) || world_.one_in(4) ||
                                           (each.on && held.contains(each.on)));
        if (hold) held.insert(each.on);
        (hold ? later : batch).push_back(each);
    }
    ready_ = std::move(later);
    while (!batch.empty()) {
        auto pick = batch.begin();
        if (world_.disturbed) pick += static_cast<std::ptrdiff_t>(world_.below(batch.size()));
        if (pick->on) pick = std::ranges::find(batch, pick->on, &ready::on);
        post(*pick);
        batch.erase(pick);
    }
}

void ring::post(const ready& what) {
    if (what.last) {
        --names_in_use_[what.cqe.user_data];
        if (what.on) --what.on->unposted;
    }
    // Only what ends an operation, and somebody waits for, can be missed.
    if (!what.last || what.cqe.user_data == 0 || kernel_.count_completion())
        place(what.cqe);
    else
        dropped_ = what.cqe;
}

void ring::place(const cqe& what) {
    unsigned& flags = at(sq_flags);
    if (!backlog_.empty() || completions_waiting() == params_.cq_entries) {
        backlog_.push_back(what);
        std::atomic_ref(flags).store(flags | IORING_SQ_CQ_OVERFLOW);
        return;
    }
    unsigned& tail = at(cq_tail);
    auto& slot = reinterpret_cast<io_uring_cqe*>(queues_.get() + cqes)[tail & at(cq_mask)];
    slot.user_data = what.user_data;
    slot.res = what.what.result;
    slot.flags = what.what.flags;
    std::atomic_ref(tail).store(tail + 1, std::memory_order_release);
}

void ring::flush_backlog() {
    const std::deque<cqe> waiting = std::exchange(backlog_, {});
    at(sq_flags) &= ~unsigned{IORING_SQ_CQ_OVERFLOW};
    for (const cqe& each : waiting)
        place(each);
}

void ring::return_dropped() {
    place(*dropped_);
    dropped_.reset();
}

unsigned ring::completions_waiting() const { return at(cq_tail) - at(cq_head); }

bool ring::crowded() const {
    return !backlog_.empty() || completions_waiting() + ready_.size() >= params_.cq_entries;
}

int ring::set_up(unsigned opcode, void* argument, unsigned count) {
    switch (opcode) {
    case IORING_REGISTER_ENABLE_RINGS:
        return enabled_ = true, 0;
    case IORING_REGISTER_PROBE:
        return probe(*static_cast<io_uring_probe*>(argument), count);
    case IORING_REGISTER_PBUF_RING:
        return register_buffers(*static_cast<io_uring_buf_reg*>(argument));
    case IORING_UNREGISTER_PBUF_RING:
        return groups_.erase(static_cast<io_uring_buf_reg*>(argument)->bgid) ? 0 : -ENOENT;
    default:
        return -EINVAL;
    }
}

int ring::probe(io_uring_probe& answer, unsigned count) const {
    const capability_set& missing = kernel_.options_.missing;
    const unsigned known = std::min<unsigned>(count, IORING_OP_LAST);
    answer.last_op = IORING_OP_LAST - 1;
    answer.ops_len = static_cast<__u8>(known);
    for (unsigned i = 0; i < known; ++i) {
        const bool absent = (i == IORING_OP_SOCKET && missing.has(capability::multishot_accept)) ||
                            (i == IORING_OP_SEND_ZC && (missing.has(capability::multishot_recv) ||
                                                        missing.has(capability::zero_copy_send)));
        answer.ops[i].op = static_cast<__u8>(i);
        answer.ops[i].flags = absent ? 0 : IO_URING_OP_SUPPORTED;
    }
    return 0;
}

int ring::register_buffers(const io_uring_buf_reg& request) {
    if (kernel_.options_.missing.has(capability::buffer_ring)) return -EINVAL;
    if (!std::has_single_bit(request.ring_entries)) return -EINVAL;
    if (groups_.contains(request.bgid)) return -EEXIST;
    buffer_group& group = groups_[request.bgid];
    group.memory = reinterpret_cast<io_uring_buf_ring*>(request.ring_addr);
    group.entries = request.ring_entries;
    return 0;
}

void ring::released() {
    if (!operations_.empty())
        world_.violation("a ring was closed with operations in flight:" + describe());
    for (auto& [id, each] : std::exchange(operations_, {})) {
        if (!each->on) continue;
        if (each->stage == operation::phase::notification)
            each->on->forget(*each);
        else
            each->on->let_go(*each, false);
    }
    ready_.clear();
}

std::string ring::describe() const {
    std::string text;
    for (auto& [id, each] : operations_)
        text += "\n  opcode " + std::to_string(each->sqe.opcode) + " on descriptor " +
                std::to_string(each->sqe.fd) + (each->canceled ? ", cancelled" : "") +
                (each->stage == operation::phase::notification ? ", awaits its notification" : "");
    return text;
}

} // namespace ringdown::sim
