#include <ringdown/shutdown/ending/internal/ending.hpp>

#include <ringdown/shutdown/ending/internal/report_sink.hpp>
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
    const bool fin_acknowledged = decided_->acknowledged > connection_.wire_sent();
    // FIN may have been the application's own, by shutdown(2).
    if (fin_acknowledged && connection_.sending() == sending_phase::flushing)
        connection_.enter(sending_phase::fin_sent);
    if (fin_acknowledged)
        connection_.note_end_of_stream();
    else
        connection_.note_error(-ECONNRESET);
}

bool ending::closes() const noexcept { return !request_.requested.hands_out || closing_.resets(); }

// A wait ends before the peer does; bytes that came meanwhile and stayed unread would turn the
// close into a reset.
bool ending::peer_may_send() const noexcept {
    return closes() && !aborted_by_ && connection_.life() == life_phase::ending &&
           connection_.receiving() == receiving_phase::discarding &&
           connection_.traits().drops_uncopied;
}

// The peer's end is received behind every byte, and a reset by us has thrown away the rest.
bool ending::may_hold_unread() const noexcept {
    const bool handed_out = releases() && !aborted_by_;
    if (!connection_.traits().has_peer || handed_out) return false;
    if (!connection_.traits().counts_acknowledgements)
        return connection_.receiving() != receiving_phase::finished;
    if (connection_.life() != life_phase::ending) return false;
    if (!decided_->taken) return connection_.receiving() != receiving_phase::finished;
    return decided_->received > connection_.wire_received();
}

void ending::close() {
    if (closing_.resets()) sample_before_reset();
    settle_gone();
    if (closes()) closing_.forget_linger();
    if (peer_may_send() && close_behind_late_bytes()) return;
    if (may_hold_unread()) {
        // Whoever takes the descriptor finds nothing of this connection in it.
        if (!closes() && connection_.traits().drops_uncopied)
            connection_.make_discarder().drop_now();
        closing_.count_unread();
    }
    if (closes())
        closing_.close();
    else
        closing_.leave_open();
}

// Until nothing is there right after it was dropped: then the close is no reset. False where the
// peer has finished meanwhile, and there is nothing special about the close.
bool ending::close_behind_late_bytes() noexcept {
    connection_.learn_peer(); // now, since later it would give the peer time
    discarder& discarding = connection_.make_discarder();
    bool late = true;
    for (int left = drops_at_the_close; late && left > 0; --left) {
        discarding.drop_now();
        late = peer_may_send() && unread_bytes(connection_) > 0;
    }
    if (!peer_may_send()) return false;
    closing_.close_in_place();
    if (over_discard_limit()) request_.cause = teardown_cause::discard_limit;
    finish();
    return true;
}

void ending::finish() {
    // The sample may know more than was seen before it.
    if (connection_.sending() == sending_phase::fin_sent &&
        facts().acknowledged() > connection_.bytes().sent)
        connection_.enter(sending_phase::fin_acknowledged);
    observe(connection_.on().seen_at());
    complete_report(facts());
    const connection_ref kept(connection_);
    if (!closes()) closing_.hand_out();
    connection_.closed([this](connection_follower& each) {
        static_cast<report_sink&>(each).reported(report_); // so is whoever follows
    });
    ledger(connection_.on()).enter(report_);
    // The reference that ends here may be the last: then the block goes, and this with it.
}

} // namespace ringdown
