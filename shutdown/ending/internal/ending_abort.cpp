#include <ringdown/shutdown/ending/internal/ending.hpp>

#include <algorithm>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <ringdown/net/internal/reset.hpp>
#include <ringdown/runtime/internal/assert.hpp>

// The end by RST: now where the kernel does it on demand, else by the close.

namespace ringdown {

void ending::abort(teardown_cause why) noexcept {
    if (decided_) return;
    know_peer_name();
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
        observe();
        reset(sample);
    }
    decide(sample);
    if (may_close()) close();
}

void ending::reset(const delivery_sample& sample) noexcept {
    const std::uint64_t unread = unread_before_reset(sample);
    if (reset_now(connection_) == 0) {
        connection_.bytes().discarded += unread;
        connection_.enter(life_phase::aborting);
        return;
    }
    // The close resets as well, but only when nothing in flight holds the socket any more.
    resets_at_close_ = true;
    reset_refused_ = -reset_at_close(connection_);
    if (connection_.life() == life_phase::open) connection_.enter(life_phase::ending);
}

// What nobody has received is lost with the reset. Unless work is deferred, a receive in flight
// may run between the question and the reset, and bytes would count twice.
std::uint64_t ending::unread_before_reset(const delivery_sample& sample) noexcept {
    const bool may_run =
        !connection_.on().has(capability::defer_taskrun) &&
        (connection_.receives() || discard_.in_flight() || connection_.cancels_in_flight());
    const std::uint64_t taken = connection_.bytes().received + connection_.bytes().discarded;
    if (may_run || sample.received <= taken + (sample.peer_finished ? 1 : 0)) return 0;
    return unread();
}

std::uint64_t ending::unread() noexcept {
    int bytes = 0;
    const int refused = connection_.on().calls().ioctl(connection_.descriptor(), SIOCINQ, bytes);
    return refused < 0 || bytes < 0 ? 0 : static_cast<std::uint64_t>(bytes);
}

// A connection that only its close resets has lived on until now, and may have ended by itself.
void ending::sample_before_reset() noexcept {
    if (connection_.end_errno() == 0) decided_ = take_sample(connection_);
    if (decided_->gone || connection_.end_errno() != 0) {
        resets_at_close_ = false;
        if (aborted_by_ == teardown_cause::discard_limit) request_.cause = *aborted_by_;
        aborted_by_.reset();
    } else if (reset_refused_ != 0) {
        decided_->reset_on_abort = false;
        error_ = system_error(-reset_refused_);
    }
}

} // namespace ringdown
