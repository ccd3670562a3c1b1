#include <ringdown/net/internal/peer_watch.hpp>

#include <cerrno>

#include <poll.h>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/tcp_state.hpp>

namespace ringdown {

bool peer_watch::leave() noexcept {
    if (--wanted_by_ > 0 || !in_flight()) return false;
    request_cancel();
    return true;
}

void peer_watch::look_for_end() {
    if (in_flight() || end_seen_ || refused_ != 0) return;
    ++polls_;
    launch([this](io_uring_sqe& sqe) {
        io_uring_prep_poll_add(&sqe, target().descriptor(), POLLRDHUP);
    });
}

void peer_watch::look_for_reset(at_ending when_ending) {
    if (in_flight() || refused_ != 0) return;
    ++polls_;
    end_seen_ = true;
    when_ending_ = when_ending;
    // The kernel always tells of POLLERR and POLLHUP. It tells of POLLRDHUP, too, because that
    // holds already: so this completes whenever anything happens to the socket.
    launch([this](io_uring_sqe& sqe) {
        io_uring_prep_poll_multishot(&sqe, target().descriptor(), 0);
    });
}

bool peer_watch::end_is_known() noexcept {
    connection& connection = target();
    if (connection.receiving() == receiving_phase::finished || connection.end_errno() != 0)
        return true;
    if (!end_seen_ || connection.life() >= life_phase::aborting) return false;
    if (!error_due_) return true;
    note_due_error();
    if (connection.end_errno() != 0) return true;
    if (!connection.idle()) return false;
    connection.note_error(-ECONNRESET); // none of our operations was told
    return true;
}

void peer_watch::note_due_error() noexcept {
    if (const int error = socket_error_of(ring_loop().calls(), target().descriptor()))
        target().note_error(-error);
}

void peer_watch::settled(completion what) noexcept {
    connection& connection = target();
    if (what.result < 0 && what.result != -ECANCELED) refused_ = what.result;
    if (what.result <= 0 || stopped_ || connection.life() >= life_phase::aborting) return;
    const bool error = (what.result & POLLERR) != 0;
    if (!end_seen_) {
        end_seen_ = true;
        error_due_ = error;
        connection.note_end_seen();
    } else if (error) {
        note_due_error();
    }
}

} // namespace ringdown
