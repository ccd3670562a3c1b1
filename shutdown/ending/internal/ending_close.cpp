#include <ringdown/shutdown/ending/internal/ending.hpp>

#include <sys/socket.h>

#include <ringdown/net/internal/tcp_state.hpp>
#include <ringdown/shutdown/ending/ledger.hpp>

// The last steps, once every operation has been joined: close or hand out, and the report.

namespace ringdown {
namespace {

constexpr int drops_at_the_close = 16; // of what a peer sends that never pauses

} // namespace

// A connection that was gone when it was sampled: both sides have finished, or some operation
// that was cut short has swallowed the error of a reset.
void ending::settle_gone() noexcept {
    if (!decided_->gone || connection_.end_errno() != 0) return;
    const bool fin_acknowledged = decided_->acknowledged > connection_.bytes().sent;
    // FIN may have been the application's own, by shutdown(2).
    if (fin_acknowledged && connection_.sending() == sending_phase::flushing)
        connection_.enter(sending_phase::fin_sent);
    if (fin_acknowledged)
        connection_.note_end_of_stream();
    else
        connection_.note_error(-ECONNRESET);
}

// The peer's end is received behind every byte, and a reset by us has thrown away the rest.
bool ending::may_hold_unread() const noexcept {
    const bool handed_out = releases() && !aborted_by_;
    if (!connection_.traits().has_peer || handed_out) return false;
    if (!connection_.traits().counts_acknowledgements)
        return connection_.receiving() != receiving_phase::finished;
    if (connection_.life() != life_phase::ending) return false;
    if (!decided_->taken) return connection_.receiving() != receiving_phase::finished;
    const connection::counters& bytes = connection_.bytes();
    return decided_->received > bytes.received + bytes.discarded;
}

void ending::close() {
    if (resets_at_close_) sample_before_reset();
    settle_gone();
    const bool closes = !request_.requested.hands_out || resets_at_close_;
    if (closes && !resets_at_close_ && connection_.linger_set()) forget_linger();
    const auto peer_may_send = [&] {
        return closes && !aborted_by_ && connection_.life() == life_phase::ending &&
               connection_.receiving() == receiving_phase::discarding &&
               connection_.traits().drops_uncopied;
    };
    if (peer_may_send()) know_peer_name(); // now, since later it would give the peer time
    // Until nothing is there right after it was dropped: then the close is no reset.
    bool late = peer_may_send();
    for (int left = drops_at_the_close; late && left > 0; --left) {
        drop_late_bytes();
        late = peer_may_send() && unread() > 0;
    }
    if (peer_may_send()) {
        connection_.enter(life_phase::joined);
        close_in_place();
        return;
    }
    if (may_hold_unread()) {
        // Whoever takes the descriptor finds nothing of this connection in it.
        if (!closes && connection_.traits().drops_uncopied) drop_late_bytes();
        const std::uint64_t bytes = unread();
        connection_.bytes().discarded += bytes;
        reset_by_unread_ = resets_at_close_ && bytes > 0;
    }
    connection_.enter(life_phase::joined);
    ask_peer_name();
    close_.launch_silently([&](io_uring_sqe& sqe) {
        if (closes)
            io_uring_prep_close(&sqe, connection_.descriptor());
        else
            io_uring_prep_nop(&sqe);
    });
}

// With it the close could reset, or wait.
void ending::forget_linger() noexcept {
    const linger off{};
    connection_.on().calls().setsockopt(connection_.descriptor(), SOL_SOCKET, SO_LINGER, &off,
                                        sizeof off);
}

// What came even later makes the close reset, so both happen in one breath.
void ending::close_in_place() {
    const std::uint64_t bytes = unread();
    connection_.bytes().discarded += bytes;
    reset_by_unread_ =
        bytes > 0 && !tcp_info_of(connection_.on().calls(), connection_.descriptor()).gone();
    if (over_discard_limit()) request_.cause = teardown_cause::discard_limit;
    close_settled({connection_.on().calls().close(connection_.descriptor()), 0});
    finish();
}

void ending::close_settled(completion what) noexcept {
    if (what.result < 0) error_ = system_error(what.result);
}

void ending::finish() {
    // The sample may know more than was seen before it.
    if (connection_.sending() == sending_phase::fin_sent &&
        facts().acknowledged() > connection_.bytes().sent)
        connection_.enter(sending_phase::fin_acknowledged);
    observe();
    complete_report(facts());
    const connection_ref kept(connection_);
    if (request_.requested.hands_out && !resets_at_close_)
        left_ = unique_descriptor(connection_.descriptor(), connection_.on().calls());
    connection_.closed();
    ledger(connection_.on()).enter(report_);
    // The reference that ends here may be the last: then the block goes, and this with it.
}

} // namespace ringdown
