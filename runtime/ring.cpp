#include <ringdown/runtime/ring.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include <ringdown/runtime/internal/assert.hpp>
#include <ringdown/runtime/internal/ring_setup.hpp>

namespace ringdown {
namespace {

// What io_uring_enter answers of the moment, and not because it is denied.
bool passes(int negated_errno) noexcept {
    switch (negated_errno) {
    case -EINTR:
    case -EAGAIN:
    case -EBUSY:
    case -ETIME: // nothing came in time
    case -EBADR: // the kernel had no memory for a completion
        return true;
    default:
        return false;
    }
}

} // namespace

ring::ring(system_calls& calls, const ring_options& options)
    : ring(calls,
           probe_capabilities(calls)
               .remove(options.disabled)
               .remove(capabilities_disabled_by_environment()),
           options) {}

ring::ring(system_calls& calls, const capability_set& exactly, const ring_options& options)
    : calls_(calls), capabilities_(exactly) {
    io_uring_params params;
    ring_size size{options.entries, std::max(options.completion_entries, options.entries)};
    fd_ = set_up_ring(calls_, setup_flags(capabilities_), size, params);
    if (fd_ < 0) throw_ring_refused(ring_call::setup, fd_);
    features_ = params.features;
    entries_taken_ = size.entries;
    completion_entries_taken_ = size.completion_entries;
    counters_.memory_waits = size.waits;
    try {
        map(params);
        check_enter();
    } catch (...) {
        release();
        throw;
    }
}

ring::~ring() { release(); }

void ring::release() noexcept {
    if (entries_.memory) calls_.unmap(entries_.memory, entries_.bytes);
    if (queues_.memory) calls_.unmap(queues_.memory, queues_.bytes);
    // The registration belongs to the thread that made it; where that one is another, it lasts as
    // long as the thread.
    if (enter_fd_ != fd_ && enter_fd_ >= 0 && enabled_by_ == std::this_thread::get_id()) {
        io_uring_rsrc_update update{
            .offset = static_cast<unsigned>(enter_fd_), .resv = 0, .data = 0};
        calls_.ring_register(fd_, IORING_UNREGISTER_RING_FDS, &update, 1);
    }
    if (fd_ >= 0) calls_.close(fd_);
}

ring::mapping ring::map_part(std::size_t bytes, std::uint64_t offset) {
    void* memory = calls_.map_ring(fd_, bytes, offset);
    if (!memory) throw std::system_error(ENOMEM, std::system_category(), "cannot map the io_uring");
    return {memory, bytes};
}

void ring::map(const io_uring_params& params) {
    // Both queues share one mapping since Linux 5.4 (IORING_FEAT_SINGLE_MMAP).
    const std::size_t submission_bytes = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    const std::size_t completion_bytes =
        params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe);
    queues_ = map_part(std::max(submission_bytes, completion_bytes), IORING_OFF_SQ_RING);
    entries_ = map_part(params.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES);

    auto* base = static_cast<char*>(queues_.memory);
    auto at = [base](unsigned offset) { return reinterpret_cast<unsigned*>(base + offset); };
    submission_head_ = at(params.sq_off.head);
    submission_tail_ = at(params.sq_off.tail);
    submission_flags_ = at(params.sq_off.flags);
    submission_mask_ = *at(params.sq_off.ring_mask);
    submission_ = static_cast<io_uring_sqe*>(entries_.memory);
    tail_ = *submission_tail_;
    room_until_ = tail_;
    completion_head_ = at(params.cq_off.head);
    completion_tail_ = at(params.cq_off.tail);
    completion_mask_ = *at(params.cq_off.ring_mask);
    completions_ = reinterpret_cast<io_uring_cqe*>(base + params.cq_off.cqes);

    if (!has(capability::no_sqarray))
        for (unsigned i = 0; i <= submission_mask_; ++i)
            at(params.sq_off.array)[i] = i;
}

// A seccomp profile may allow making a ring and not using it. One that is not enabled yet answers
// EBADFD to a call that is allowed.
void ring::check_enter() {
    const int entered = calls_.ring_enter(fd_, 0, 0, 0, nullptr, 0);
    if (entered >= 0 || entered == -EBADFD || entered == -EINTR) return;
    refusal_ = entered;
    throw_ring_refused(ring_call::enter, entered);
}

void ring::enable() {
    require(enter_fd_ < 0, "a ring is enabled once, by the thread that runs it");
    const int enabled = calls_.ring_register(fd_, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    if (enabled < 0) throw_ring_refused(ring_call::registering, enabled);
    check_enter();
    enter_fd_ = fd_;
    enabled_by_ = std::this_thread::get_id();
    if (!has(capability::registered_ring)) return;
    io_uring_rsrc_update update{
        .offset = ~0U, .resv = 0, .data = static_cast<unsigned long long>(fd_)};
    if (calls_.ring_register(fd_, IORING_REGISTER_RING_FDS, &update, 1) == 1) {
        enter_fd_ = static_cast<int>(update.offset);
        enter_flags_ = IORING_ENTER_REGISTERED_RING;
    } else {
        capabilities_.remove(capability::registered_ring);
    }
}

void ring::reserve(unsigned count) {
    require(count <= submission_mask_ + 1, "a chain is longer than the submission queue; "
                                           "ask for more entries in ring_options");
    if (unsubmitted() + count > submission_mask_ + 1) make_room();
}

void ring::look_for_room() {
    if (unsubmitted() > submission_mask_) make_room();
    room_until_ = load(submission_head_) + submission_mask_ + 1;
}

void ring::make_room() {
    ++counters_.queue_full;
    submit();
}

int ring::call_enter(unsigned submit, unsigned wait, unsigned flags,
                     std::optional<time_point> until) {
    ++counters_.enters;
    flags |= enter_flags_;
    if (!until) return calls_.ring_enter(enter_fd_, submit, wait, flags, nullptr, 0);

    const auto now = calls_.now();
    // A wait that is over at once still costs the kernel a timer and a switch.
    if (*until <= now) return calls_.ring_enter(enter_fd_, submit, 0, flags, nullptr, 0);
    const auto left = *until - now;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    __kernel_timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    io_uring_getevents_arg argument{};
    argument.ts = reinterpret_cast<std::uint64_t>(&timeout);
    return calls_.ring_enter(enter_fd_, submit, wait, flags | IORING_ENTER_EXT_ARG, &argument,
                             sizeof argument);
}

void ring::submit() {
    store(submission_tail_, tail_);
    if (refusal_ != 0) return give_up(refusal_);
    while (const unsigned left = unsubmitted()) {
        const int consumed = call_enter(left, 0, 0, {});
        if (consumed > 0) {
            counters_.submitted += static_cast<unsigned>(consumed);
        } else if (consumed == -EBUSY || consumed == -EAGAIN || consumed == 0) {
            // The kernel wants room for completions, or the memory of finished requests, first.
            spill_completions();
        } else if (consumed != -EINTR) {
            return give_up(consumed);
        }
    }
}

// Entries that the kernel will not take are dropped, because whoever fills the next one cannot be
// told; `enter` tells.
void ring::give_up(int refusal) noexcept {
    refusal_ = refusal;
    tail_ = load(submission_head_);
    store(submission_tail_, tail_);
}

void ring::enter(bool wait, std::optional<time_point> until) {
    store(submission_tail_, tail_);
    const unsigned left = unsubmitted();
    const int consumed =
        call_enter(left, wait && spilled_.empty() ? 1 : 0, IORING_ENTER_GETEVENTS, until);
    if (consumed > 0)
        counters_.submitted += static_cast<unsigned>(consumed);
    else if (consumed < 0 && !passes(consumed))
        give_up(consumed);
    // A completion is only handled when every entry before it has been submitted: a cancel request
    // must not reach the kernel after the operation that it names was reaped and its place reused.
    if (unsubmitted() > 0) submit();
    if (refusal_ != 0) [[unlikely]]
        throw_ring_refused(ring_call::enter, refusal_);
}

bool ring::fetch_overflowed() {
    if (!(load(submission_flags_) & IORING_SQ_CQ_OVERFLOW)) return false;
    ++counters_.overflows;
    call_enter(0, 0, IORING_ENTER_GETEVENTS, {});
    return *completion_head_ != load(completion_tail_);
}

void ring::spill_completions() {
    unsigned head = *completion_head_;
    for (const unsigned tail = load(completion_tail_); head != tail; ++head)
        spilled_.push_back(completions_[head & completion_mask_]);
    store(completion_head_, head);
    call_enter(0, 0, IORING_ENTER_GETEVENTS, {});
}

} // namespace ringdown
