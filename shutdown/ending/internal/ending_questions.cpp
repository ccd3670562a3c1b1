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
    const connection& connection = connection_;
    return connection.traits().tells_by_poll &&
           request_.plan.waits_for == awaited_answer::peer_fin &&
           connection.receiving() != receiving_phase::finished && !acknowledged_before_ &&
           (discard_.in_flight() || connection.receives());
}

bool ending::fin_is_acknowledged() const noexcept {
    connection& connection = connection_;
    if (connection.sending() != sending_phase::fin_sent)
        return connection.sending() > sending_phase::fin_sent;
    if (!connection.traits().counts_acknowledgements || !queue_is_counted(connection)) return false;
    int queued = 0;
    const int refused = connection.on().calls().ioctl(connection.descriptor(), SIOCOUTQ, queued);
    return refused >= 0 && queued == 0;
}

void ending::ask_queue() {
    queue_wanted_ = false;
    connection& connection = connection_;
    if (!queue_is_counted(connection)) {
        watch_queue();
        return;
    }
    if (connection.on().has(capability::socket_queue_commands) &&
        connection.traits().counts_acknowledgements) {
        queue_.launch([&](io_uring_sqe& sqe) {
            uapi::prepare_socket_queue(sqe, uapi::socket_siocoutq, connection.descriptor());
        });
        return;
    }
    int queued = 0;
    const int refused = connection.on().calls().ioctl(connection.descriptor(), SIOCOUTQ, queued);
    queue_settled({refused < 0 ? refused : queued, 0});
}

void ending::queue_settled(completion what) noexcept {
    connection& connection = connection_;
    if (connection.sending() != sending_phase::fin_sent || decided_ || what.result < 0) return;
    // The queue may have emptied because the peer has closed and thrown it away: a reset.
    if (!connection.traits().counts_acknowledgements) take_sample(connection);
    if (connection.end_errno() != 0) return;
    if (what.result == 0) {
        connection.enter(sending_phase::fin_acknowledged);
        progress_at_ = connection.on().seen_at();
        observe();
        return;
    }
    if (connection.receiving() == receiving_phase::finished &&
        connection.ended_first() == first_end::local)
        crossed_ = true;
    watch_queue();
}

void ending::watch_queue() {
    connection& connection = connection_;
    if (!connection.traits().tells_by_poll) return; // the timer asks again
    if (!watch_)
        watch_ = std::make_unique<step_operation<ending>>(connection, "poll", *this,
                                                          &ending::watch_settled);
    if (watch_->in_flight()) return;
    // After FIN, a poll for writing posts at once and again when the queue has emptied, or the
    // handshake is done.
    watch_->launch([&](io_uring_sqe& sqe) {
        io_uring_prep_poll_multishot(&sqe, connection.descriptor(), POLLOUT);
    });
}

void ending::watch_settled(completion what) noexcept {
    queue_wanted_ = true;
    if (what.result < 0 || !(static_cast<unsigned>(what.result) & POLLERR)) return;
    if (!decided_) take_sample(connection_); // notes what SO_ERROR tells
}

// While answers are owed to a peer that has finished, no receive would tell of its reset.
void ending::watch_for_loss() {
    connection& connection = connection_;
    if (!connection.traits().tells_by_poll || connection.receiving() != receiving_phase::finished)
        return;
    if (!loss_)
        loss_ = std::make_unique<step_operation<ending>>(connection, "poll", *this,
                                                         &ending::loss_settled);
    if (loss_->in_flight()) return;
    loss_->launch([&](io_uring_sqe& sqe) {
        // POLLERR and POLLHUP are always told; POLLRDHUP as well, which holds already: again and
        // again, then, whenever something happens.
        io_uring_prep_poll_multishot(&sqe, connection.descriptor(), 0);
    });
}

void ending::loss_settled(completion what) noexcept {
    if (what.result > 0 && !decided_) take_sample(connection_); // notes what SO_ERROR tells
}

// Ahead of the close, with the same submission: nobody need wait for the answer.
void ending::ask_peer_name() {
    connection& connection = connection_;
    if (connection.knows_peer()) return;
    if (!connection.on().has(capability::socket_option_commands)) {
        know_peer_name();
        return;
    }
    operations::peer_name name{connection.descriptor(), connection.ipv6(), &report_.peer};
    report_.peer.resize(name.bytes()); // nobody is told how long it was
    connection.on().submit_unawaited([&](io_uring_sqe& sqe) { name.prepare(sqe); });
}

// In place, where nobody may wait for the ring: what comes next makes the kernel forget the name.
void ending::know_peer_name() noexcept {
    connection& connection = connection_;
    if (connection.knows_peer()) return;
    connection.set_peer(peer_name(connection.on().calls(), connection.descriptor(),
                                  connection.ipv6() ? AF_INET6 : AF_INET));
}

} // namespace ringdown
