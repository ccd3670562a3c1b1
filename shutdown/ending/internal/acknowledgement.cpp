#include <ringdown/shutdown/ending/internal/acknowledgement.hpp>

#include <algorithm>

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <ringdown/runtime/internal/uapi.hpp>
#include <ringdown/shutdown/ending/internal/looks.hpp>
#include <ringdown/shutdown/ending/internal/sampling.hpp>

namespace ringdown {

using namespace std::chrono_literals;

namespace {

// When a peer has not answered FIN by then, we begin to ask what it has acknowledged.
constexpr auto first_look = 100ms;
// Between looks at a queue that no poll tells of.
constexpr auto unpolled_look = 2ms;

// The bytes in the send queue, or a negated errno.
int queued_bytes(connection& connection) noexcept {
    int queued = 0;
    const int refused = connection.on().calls().ioctl(connection.descriptor(), SIOCOUTQ, queued);
    return refused < 0 ? refused : queued;
}

} // namespace

acknowledgement::acknowledgement(connection& connection) noexcept
    : connection_(connection), queue_(connection, "siocoutq", *this, &acknowledgement::answered) {}

void acknowledgement::step(bool receive_tells) {
    if (connection_.sending() != sending_phase::fin_sent || !wanted_ || queue_.in_flight()) return;
    const bool receive_tells_first = receive_tells && connection_.traits().tells_by_poll &&
                                     connection_.receiving() != receiving_phase::finished &&
                                     !through_;
    if (!receive_tells_first) ask();
}

void acknowledgement::ask() {
    wanted_ = false;
    if (!queue_is_counted(connection_)) {
        watch();
        return;
    }
    if (connection_.on().has(capability::socket_queue_commands) &&
        connection_.traits().counts_acknowledgements) {
        queue_.launch([&](io_uring_sqe& sqe) {
            uapi::prepare_socket_queue(sqe, uapi::socket_siocoutq, connection_.descriptor());
        });
        return;
    }
    answered({queued_bytes(connection_), 0});
}

void acknowledgement::answered(completion what) noexcept {
    if (connection_.sending() != sending_phase::fin_sent || stopped_) return;
    if (what.result < 0) {
        refused();
        return;
    }
    // The queue may have emptied because the peer has closed and thrown it away: a reset.
    if (!connection_.traits().counts_acknowledgements) take_sample(connection_);
    if (connection_.end_errno() != 0) return;
    if (what.result == 0) {
        connection_.enter(sending_phase::fin_acknowledged);
        moved_at_ = connection_.on().seen_at();
        return;
    }
    if (connection_.receiving() == receiving_phase::finished &&
        connection_.ended_first() == first_end::local)
        crossed_ = true;
    watch();
}

// Where the kernel does not tell what is queued, the count of acknowledged bytes may tell instead.
void acknowledgement::refused() noexcept {
    look(connection_.on().seen_at());
    if (awaited() && connection_.end_errno() == 0) watch();
}

void acknowledgement::watch() {
    if (!connection_.traits().tells_by_poll) return; // the looks ask again
    if (!watch_)
        watch_ = std::make_unique<step_operation<acknowledgement>>(
            connection_, "poll", *this, &acknowledgement::watch_answered);
    if (watch_->in_flight()) return;
    // After FIN, a poll for writing posts at once and again when the queue has emptied, or the
    // handshake is done.
    watch_->launch([&](io_uring_sqe& sqe) {
        io_uring_prep_poll_multishot(&sqe, connection_.descriptor(), POLLOUT);
    });
}

void acknowledgement::watch_answered(completion what) noexcept {
    wanted_ = true;
    if (what.result < 0 || !(static_cast<unsigned>(what.result) & POLLERR)) return;
    if (!stopped_) take_sample(connection_); // notes what SO_ERROR tells
}

void acknowledgement::note_through(std::uint64_t through, time_point at) noexcept {
    const bool moved = through_ != through;
    through_ = through;
    if (moved) moved_at_ = at;
}

void acknowledgement::look(time_point now) noexcept {
    if (!awaited()) return;
    wanted_ = wanted_ || !connection_.traits().tells_by_poll;
    const delivery_sample sample = take_sample(connection_);
    if (!connection_.traits().counts_acknowledgements) {
        // What was accepted less what waits there changes with every byte written or read. What had
        // gone through before the first look has moved at an unknown time.
        const bool first = !through_;
        note_through(connection_.wire_sent() - sample.queued, first ? moved_at_ : now);
        return;
    }
    // It came with the last acknowledgement at the latest. The first look only knows that age.
    note_through(sample.acknowledged,
                 now - std::chrono::milliseconds(sample.acknowledgement_age_ms));
    if (connection_.sending() == sending_phase::fin_sent &&
        sample.acknowledged > connection_.wire_sent())
        connection_.enter(sending_phase::fin_acknowledged);
}

acknowledgement::time_point acknowledgement::next_look(time_point now,
                                                       std::chrono::nanoseconds idle) const {
    time_point next = time_point::max();
    if (!awaited()) return next;
    if (idle > 0ns) {
        // Several within the idle time.
        const auto apart = std::max<std::chrono::nanoseconds>(idle / 16, 1ms);
        next = together(later(now, apart), apart);
    }
    if (!through_) next = std::min<time_point>(next, together(now + first_look, first_look / 4));
    if (!connection_.traits().tells_by_poll) next = std::min<time_point>(next, now + unpolled_look);
    return next;
}

bool fin_is_acknowledged(connection& connection) noexcept {
    if (connection.sending() != sending_phase::fin_sent)
        return connection.sending() == sending_phase::fin_acknowledged;
    return connection.traits().counts_acknowledgements && queue_is_counted(connection) &&
           queued_bytes(connection) == 0;
}

} // namespace ringdown
