#include <ringdown/shutdown/ending/peer_closed.hpp>

#include <poll.h>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/shutdown/ending/internal/sampling.hpp>

namespace ringdown {
namespace {

result<peer_end> known_end(const connection& connection) noexcept {
    if (connection.was_reset()) return peer_end::reset;
    if (connection.end_errno() != 0) return std::unexpected(system_error(-connection.end_errno()));
    return peer_end::finished;
}

} // namespace

peer_closed_operation peer_closed(connected_socket& watched) noexcept {
    return {state_of(watched), peer_closed_operation::told::at_once};
}

peer_closed_operation peer_ended(connected_socket& watched) noexcept {
    return {state_of(watched), peer_closed_operation::told::after_data};
}

bool peer_closed_operation::begin() {
    connection& connection = target();
    const bool known =
        connection.receiving() == receiving_phase::finished || connection.end_errno() != 0;
    if (connection.life() == life_phase::open && known && waits_for_reading()) {
        connection.watch_changes(*this);
        watch_for_reset();
        return true;
    }
    if (connection.life() != life_phase::open || known) {
        // Of one that is ending the rest is still to be read, by whoever may.
        const bool open = connection.life() == life_phase::open;
        const bool over = known && (open || !waits_for_reading());
        answer_ = over ? known_end(connection) : std::unexpected(make_error_code(errc::ending));
        stay();
        return false;
    }
    connection.note_in_use();
    launch([&](io_uring_sqe& sqe) {
        io_uring_prep_poll_add(&sqe, connection.descriptor(), POLLRDHUP);
    });
    return true;
}

bool peer_closed_operation::waits_for_reading() noexcept {
    connection& connection = target();
    if (when_ == told::at_once) return false;
    if (when_ == told::finished_after_data && connection.end_errno() != 0) return false;
    return connection.has_unread();
}

// Once FIN was seen and nobody receives, the kernel tells of a reset by nothing but a poll.
void peer_closed_operation::watch_for_reset() {
    if (when_ != told::finished_after_data || in_flight()) return;
    phase_ = watching::for_reset;
    connection& connection = target();
    launch(
        [&](io_uring_sqe& sqe) { io_uring_prep_poll_multishot(&sqe, connection.descriptor(), 0); });
}

void peer_closed_operation::settled(completion what) noexcept {
    connection& connection = target();
    if (phase_ == watching::over) {
        if (!in_flight()) wake();
        return;
    }
    if (phase_ == watching::for_reset) {
        if (what.result > 0 && (what.result & POLLERR) != 0)
            take_sample(connection); // notes the error
        return;                      // the connection has changed, which leads to a look
    }
    if (what.result < 0 || connection.life() >= life_phase::aborting) {
        conclude(std::unexpected(connection.error_of(what.result)));
        return;
    }
    // Reading the error notes a reset on the connection, because the kernel tells it once.
    error_due_ = (what.result & POLLERR) != 0;
    connection.note_end_seen();
    if (connection.life() == life_phase::open) {
        connection.watch_changes(*this); // of which this completion is the first
        return;
    }
    // Whoever has been told of the error is yet to say so; the ending's report will.
    if (error_due_ && !error_is_known(connection))
        conclude(std::unexpected(make_error_code(errc::ending)));
    else
        conclude(known_end(connection));
}

void peer_closed_operation::look() noexcept {
    connection& connection = target();
    const bool known = !error_due_ || error_is_known(connection);
    if (known && !waits_for_reading())
        conclude(known_end(connection));
    else if (canceled_) // while the poll was about to answer, which then has won
        conclude(std::unexpected(canceled()));
    else if (known)
        watch_for_reset();
}

void peer_closed_operation::connection_ends() noexcept { conclude(std::unexpected(canceled())); }

void peer_closed_operation::conclude(const result<peer_end>& answer) noexcept {
    list_hook<change_watcher>::unlink();
    answer_ = answer;
    phase_ = watching::over;
    if (in_flight())
        request_cancel();
    else
        wake();
}

void peer_closed_operation::cancel(cancel_reason reason) noexcept {
    target().note_canceled(reason);
    canceled_ = true;
    if (in_flight() && phase_ == watching::for_end)
        request_cancel();
    else if (phase_ != watching::over)
        conclude(std::unexpected(canceled()));
}

} // namespace ringdown
