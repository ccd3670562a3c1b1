#include <ringdown/shutdown/ending.hpp>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <ringdown/shutdown/ledger.hpp>

// The last steps, once every operation has been joined: close or hand out, and the report.

namespace ringdown {

// A connection that was gone when it was sampled: both sides have finished, or some operation
// that was cut short has swallowed the error of a reset.
void ending::settle_gone() noexcept {
    connection& of = connection_;
    if (!decided_->gone || of.end_errno() != 0) return;
    const bool fin_acknowledged = decided_->acknowledged > of.bytes().sent;
    // FIN may have been the application's own, by shutdown(2).
    if (fin_acknowledged && of.sending() == sending_phase::flushing)
        of.enter(sending_phase::fin_sent);
    if (fin_acknowledged)
        of.note_end_of_stream();
    else
        of.note_error(-ECONNRESET);
}

void ending::close() {
    connection& of = connection_;
    const bool closes = !request_.leaves_descriptor;
    const auto peer_may_send = [&of, graceful = closes && of.life() == life_phase::ending] {
        return graceful && of.receiving() == receiving_phase::discarding &&
               of.from().kind == connection_kind::tcp;
    };
    settle_gone();
    if (peer_may_send()) drop_late_bytes();
    of.enter(life_phase::joined);
    if (peer_may_send()) {
        // What came even later makes the close reset, so both happen in one breath, in place.
        know_peer_name();
        system& calls = of.on().calls();
        calls.ioctl(of.descriptor(), SIOCINQ, unread_bytes_);
        close_settled({calls.close(of.descriptor()), 0});
        finish();
        return;
    }
    ask_peer_name();
    close_.launch_silently([&](io_uring_sqe& sqe) {
        if (closes)
            io_uring_prep_close(&sqe, of.descriptor());
        else
            io_uring_prep_nop(&sqe);
    });
}

void ending::close_settled(completion what) noexcept {
    if (what.result < 0) error_ = system_error(what.result);
}

void ending::finish() {
    connection& of = connection_;
    // The sample may know more than was seen before it.
    if (of.sending() == sending_phase::fin_sent && acknowledged() > of.bytes().sent)
        of.enter(sending_phase::fin_acknowledged);
    observe();
    complete_report();
    const connection_ref kept(connection_);
    if (request_.leaves_descriptor) left_ = unique_descriptor(of.descriptor(), of.on().calls());
    connection_.closed();
    ledger(connection_.on()).enter(report_);
    // The reference that ends here may be the last: then the block goes, and this with it.
}

} // namespace ringdown
