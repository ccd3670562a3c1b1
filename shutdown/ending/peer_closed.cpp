#include <ringdown/shutdown/ending/peer_closed.hpp>

#include <ringdown/net/internal/peer_watch.hpp>
#include <ringdown/net/internal/state_of.hpp>

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
    const bool known = watched_.make_peer_watch().end_is_known();
    const bool open = watched_.life() == life_phase::open;
    if (open && (!known || waits_for_reading())) {
        watched_.note_in_use();
        watched_.watch_changes(*this);
        watched_.make_peer_watch().join();
        wait_on();
        return true;
    }
    // Of one that is ending the rest is still to be read, by whoever may.
    const bool over = known && (open || !waits_for_reading());
    answer_ = over ? known_end(watched_) : std::unexpected(make_error_code(errc::ending));
    if (over && when_ != told::at_once) {
        wake(); // behind a reader that has its data and has not gone on yet
        return true;
    }
    stay();
    return false;
}

bool peer_closed_operation::waits_for_reading() noexcept {
    if (when_ == told::at_once) return false;
    if (when_ == told::finished_after_data && watched_.end_errno() != 0) return false;
    return watched_.has_unread();
}

// Once FIN was seen and nobody receives, the kernel tells of a reset by nothing but a poll.
void peer_closed_operation::wait_on() {
    peer_watch& watch = watched_.make_peer_watch();
    if (!watch.end_is_known())
        watch.look_for_end();
    else if (when_ == told::finished_after_data)
        watch.look_for_reset(at_ending::cancel);
}

void peer_closed_operation::look() noexcept {
    peer_watch& watch = watched_.make_peer_watch();
    if (watch.end_is_known() && !waits_for_reading())
        conclude(known_end(watched_));
    else if (watch.refused())
        conclude(std::unexpected(watch.refused()));
    else if (!canceled_)
        wait_on();
    else if (!watch.in_flight() || watch.polls() != canceled_with_)
        conclude(std::unexpected(canceled())); // another may have begun for somebody else
}

void peer_closed_operation::connection_ends() noexcept {
    const bool over = watched_.make_peer_watch().end_is_known() && !waits_for_reading();
    conclude(over ? known_end(watched_) : std::unexpected(canceled()));
}

void peer_closed_operation::conclude(const result<peer_end>& answer) noexcept {
    if (!canceled_) watched_.make_peer_watch().leave();
    unlink();
    answer_ = answer;
    wake();
}

void peer_closed_operation::cancel(cancel_reason reason) noexcept {
    watched_.note_canceled(reason);
    canceled_ = true;
    canceled_with_ = watched_.make_peer_watch().polls();
    if (!watched_.make_peer_watch().leave()) conclude(std::unexpected(canceled()));
}

} // namespace ringdown
