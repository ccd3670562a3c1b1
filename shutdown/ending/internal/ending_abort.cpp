#include <ringdown/shutdown/ending/internal/ending.hpp>

#include <ringdown/shutdown/ending/internal/sampling.hpp>

// The end by RST: now where the kernel does it on demand, else by the close.

namespace ringdown {

void ending::abort(teardown_cause why) noexcept {
    if (decided_) return;
    connection_.learn_peer(); // what comes next makes the kernel forget it
    const delivery_sample sample = take_sample(connection_);
    const bool nobody_wants_reset =
        why == teardown_cause::deadline || why == teardown_cause::canceled;
    if (releases() && nobody_wants_reset && !connection_.pins_buffers()) {
        // The flush has taken too long; the connection is the application's all the same. Where
        // the kernel holds a buffer, only a reset gives it back.
        request_.cause = why;
    } else if (sample.gone || connection_.end_errno() != 0) {
        // There is nothing left to reset. By what it ended, completions still to come may tell.
        if (connection_.life() == life_phase::open) connection_.enter(life_phase::ending);
        // The peer's FIN has come behind more than the cap.
        if (why == teardown_cause::discard_limit) request_.cause = why;
    } else {
        aborted_by_ = why;
        if (sample.peer_finished) connection_.note_end_of_stream();
        observe(connection_.on().seen_at());
        reset(sample);
    }
    decide(sample);
    if (closing_.may_begin()) close();
}

void ending::reset(const delivery_sample& sample) noexcept {
    const std::uint64_t unread = unread_before_reset(sample);
    if (closing_.reset()) {
        connection_.note_lost_unread(unread);
        connection_.enter(life_phase::aborting);
    } else if (connection_.life() == life_phase::open) {
        connection_.enter(life_phase::ending);
    }
}

// What nobody has received is lost with the reset. Unless work is deferred, a receive in flight
// may run between the question and the reset, and bytes would count twice.
std::uint64_t ending::unread_before_reset(const delivery_sample& sample) noexcept {
    const discarder* discarding = connection_.own_discarder();
    const bool may_run = !connection_.on().has(capability::defer_taskrun) &&
                         (connection_.receives() || (discarding && discarding->in_flight()) ||
                          connection_.cancels_in_flight());
    const std::uint64_t taken = connection_.wire_received();
    if (may_run || sample.received <= taken + (sample.peer_finished ? 1 : 0)) return 0;
    return unread_bytes(connection_);
}

// A connection that only its close resets has lived on until now, and may have ended by itself.
void ending::sample_before_reset() noexcept {
    if (connection_.end_errno() == 0) decided_ = take_sample(connection_);
    if (decided_->gone || connection_.end_errno() != 0) {
        closing_.forget_reset();
        if (aborted_by_ == teardown_cause::discard_limit) request_.cause = *aborted_by_;
        aborted_by_.reset();
    } else if (closing_.reset_refused()) {
        decided_->reset_on_abort = false;
    }
}

} // namespace ringdown
