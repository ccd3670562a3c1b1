#include <ringdown/shutdown/ending/internal/ending.hpp>

#include <cerrno>

#include <sys/socket.h>

#include <ringdown/net/internal/discard.hpp>
#include <ringdown/net/internal/inbox.hpp>
#include <ringdown/net/internal/message_receive.hpp>

// What the peer still sends once nobody reads it any more: dropped and counted, up to a cap.

namespace ringdown {
namespace {

// A peer that sends faster than this reads must not keep the loop.
constexpr int discards_at_the_close = 64;

} // namespace

void ending::step_discarding() {
    if (connection_.receiving() != receiving_phase::discarding) return;
    if (over_discard_limit()) {
        abort(teardown_cause::discard_limit);
        return;
    }
    const bool through_inbox = connection_.own_inbox() && connection_.own_inbox()->in_flight();
    // What the application's own receive still brings is older than what is discarded.
    if (discard_.in_flight() || through_inbox || connection_.cancels_in_flight()) return;
    const std::uint64_t allowed = discards_freely()
                                      ? discard_at_once
                                      : request_.policy.discard_bytes_max - counted_discards();
    discard_.launch([&](io_uring_sqe& sqe) {
        if (connection_.traits().keeps_messages)
            io_uring_prep_recvmsg(&sqe, connection_.descriptor(), &discarded_message_, MSG_TRUNC);
        else
            prepare_discard(sqe, connection_, allowed);
    });
}

void ending::discard_settled(completion what) noexcept {
    const bool empty_packet = what.result == 0 && connection_.traits().keeps_messages &&
                              holds_message(what.result, discarded_message_);
    if (what.result > 0 || empty_packet) {
        connection_.bytes().discarded += static_cast<std::uint64_t>(what.result);
        progress_at_ = connection_.on().seen_at();
    } else if (what.result == 0) {
        connection_.note_nothing_received(what);
        // With bytes dropped, nobody knows whether the message that they belong to was whole.
        if (discarded() == 0 && connection_.end_errno() == 0) connection_.note_end_told();
    } else if (what.result != -ECANCELED && what.result != -EINTR) {
        connection_.note_error(what.result);
        if (connection_.end_errno() == 0 && !decided_) error_ = system_error(what.result);
    }
}

// A wait ends before the peer does; bytes that came meanwhile and stayed unread would turn the
// close into a reset.
void ending::drop_late_bytes() noexcept {
    for (int left = discards_at_the_close; left > 0; --left) {
        const int dropped = connection_.on().calls().recv(
            connection_.descriptor(), nullptr, discard_at_once, MSG_TRUNC | MSG_DONTWAIT);
        if (dropped == 0) connection_.note_end_of_stream();
        if (dropped < 0) connection_.note_error(dropped);
        if (dropped <= 0) return;
        connection_.bytes().discarded += static_cast<std::uint64_t>(dropped);
        if (over_discard_limit()) return;
    }
}

} // namespace ringdown
