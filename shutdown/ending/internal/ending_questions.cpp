#include <ringdown/shutdown/ending/internal/ending.hpp>

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <ringdown/net/internal/peer_name.hpp>
#include <ringdown/runtime/internal/uapi.hpp>

// What is asked of the kernel while an ending waits: whether FIN was acknowledged, whether the peer
// was lost, and its name, while that is known.

namespace ringdown {

// Most peers answer FIN by their own. A receive in flight tells of that, or of a reset, so until
// the first look for acknowledgements the queue is left alone: asked then, it answers for both.
bool ending::receive_tells_first() const noexcept {
    return connection_.traits().tells_by_poll &&
           request_.requested.waits_for == awaited_answer::peer_fin &&
           connection_.receiving() != receiving_phase::finished && !acknowledged_before_ &&
           (discard_.in_flight() || connection_.receives());
}

bool ending::fin_is_acknowledged() const noexcept {
    if (connection_.sending() != sending_phase::fin_sent)
        return connection_.sending() > sending_phase::fin_sent;
    if (!connection_.traits().counts_acknowledgements || !queue_is_counted(connection_))
        return false;
    int queued = 0;
    const int refused = connection_.on().calls().ioctl(connection_.descriptor(), SIOCOUTQ, queued);
    return refused >= 0 && queued == 0;
}

void ending::ask_queue() {
    queue_wanted_ = false;
    if (!queue_is_counted(connection_)) {
        watch_queue();
        return;
    }
    if (connection_.on().has(capability::socket_queue_commands) &&
        connection_.traits().counts_acknowledgements) {
        queue_.launch([&](io_uring_sqe& sqe) {
            uapi::prepare_socket_queue(sqe, uapi::socket_siocoutq, connection_.descriptor());
        });
        return;
    }
    int queued = 0;
    const int refused = connection_.on().calls().ioctl(connection_.descriptor(), SIOCOUTQ, queued);
    queue_settled({refused < 0 ? refused : queued, 0});
}

void ending::queue_settled(completion what) noexcept {
    if (connection_.sending() != sending_phase::fin_sent || decided_ || what.result < 0) return;
    // The queue may have emptied because the peer has closed and thrown it away: a reset.
    if (!connection_.traits().counts_acknowledgements) take_sample(connection_);
    if (connection_.end_errno() != 0) return;
    if (what.result == 0) {
        connection_.enter(sending_phase::fin_acknowledged);
        progress_at_ = connection_.on().seen_at();
        observe();
        return;
    }
    if (connection_.receiving() == receiving_phase::finished &&
        connection_.ended_first() == first_end::local)
        crossed_ = true;
    watch_queue();
}

void ending::watch_queue() {
    if (!connection_.traits().tells_by_poll) return; // the timer asks again
    if (!watch_)
        watch_ = std::make_unique<step_operation<ending>>(connection_, "poll", *this,
                                                          &ending::watch_settled);
    if (watch_->in_flight()) return;
    // After FIN, a poll for writing posts at once and again when the queue has emptied, or the
    // handshake is done.
    watch_->launch([&](io_uring_sqe& sqe) {
        io_uring_prep_poll_multishot(&sqe, connection_.descriptor(), POLLOUT);
    });
}

void ending::watch_settled(completion what) noexcept {
    queue_wanted_ = true;
    if (what.result < 0 || !(static_cast<unsigned>(what.result) & POLLERR)) return;
    if (!decided_) take_sample(connection_); // notes what SO_ERROR tells
}

// While answers are owed to a peer that has finished, no receive would tell of its reset.
void ending::watch_for_loss() {
    if (!connection_.traits().tells_by_poll || connection_.receiving() != receiving_phase::finished)
        return;
    if (!loss_)
        loss_ = std::make_unique<step_operation<ending>>(connection_, "poll", *this,
                                                         &ending::loss_settled);
    if (loss_->in_flight()) return;
    loss_->launch([&](io_uring_sqe& sqe) {
        // The kernel always tells of POLLERR and POLLHUP. It tells of POLLRDHUP, too, because that
        // holds already: so this completes whenever anything happens to the socket.
        io_uring_prep_poll_multishot(&sqe, connection_.descriptor(), 0);
    });
}

void ending::loss_settled(completion what) noexcept {
    if (what.result > 0 && !decided_) take_sample(connection_); // notes what SO_ERROR tells
}

// Ahead of the close, with the same submission: nobody need wait for the answer.
void ending::ask_peer_name() {
    if (connection_.knows_peer()) return;
    if (!connection_.on().has(capability::socket_option_commands)) {
        know_peer_name();
        return;
    }
    operations::peer_name name{connection_.descriptor(), connection_.ipv6(), &report_.peer};
    report_.peer.resize(name.bytes()); // nobody is told how long it was
    connection_.on().submit_unawaited([&](io_uring_sqe& sqe) { name.prepare(sqe); });
}

// In place, where nobody may wait for the ring: what comes next makes the kernel forget the name.
void ending::know_peer_name() noexcept {
    if (connection_.knows_peer()) return;
    connection_.set_peer(peer_name(connection_.on().calls(), connection_.descriptor(),
                                   connection_.ipv6() ? AF_INET6 : AF_INET));
}

} // namespace ringdown
