#include <ringdown/shutdown/ending/internal/sampling.hpp>

#include <algorithm>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/net/internal/tcp_state.hpp>

namespace ringdown {
namespace {

// In which states the kernel sends RST when it disconnects a socket (tcp_disconnect). Where both
// FINs are on their way, it does so only if some data has never been sent.
bool abort_sends_reset(const tcp_snapshot& info) noexcept {
    switch (info.state) {
    case tcp_state::established:
    case tcp_state::syn_received:
    case tcp_state::fin_wait_1:
    case tcp_state::fin_wait_2:
    case tcp_state::close_wait:
        return true;
    case tcp_state::last_ack:
    case tcp_state::closing:
        return info.unsent_bytes > 0;
    default:
        return false;
    }
}

} // namespace

delivery_sample take_sample(connection& connection) noexcept {
    system_calls& calls = connection.on().calls();
    const int fd = connection.descriptor();
    delivery_sample sample;
    if (!connection.traits().has_peer) return sample; // nobody acknowledges
    if (connection.traits().counts_acknowledgements) {
        const tcp_snapshot info = tcp_info_of(calls, fd);
        sample.taken = info.state != tcp_state::unknown;
        const std::uint64_t before = connection.acknowledged_before(); // may be more by now
        sample.acknowledged = std::max(info.acknowledged_bytes, before) - before;
        sample.received = info.received_bytes;
        sample.acknowledgement_age_ms = info.acknowledgement_age_ms;
        sample.reset_on_abort = abort_sends_reset(info);
        sample.gone = info.gone();
        sample.peer_finished = info.peer_finished();
    } else {
        int queued = 0;
        sample.taken = calls.ioctl(fd, SIOCOUTQ, queued) >= 0;
        sample.queued = static_cast<std::uint64_t>(queued);
    }
    // An error to be told has ended the connection.
    if (!sample.gone && connection.traits().counts_acknowledgements) return sample;
    if (const int error = socket_error_of(calls, fd)) connection.note_error(-error);
    return sample;
}

delivery_sample take_sample(connected_socket& asked) noexcept {
    connection& connection = state_of(asked);
    return connection.life() < life_phase::joined ? take_sample(connection) : delivery_sample{};
}

bool queue_is_counted(connection& connection) noexcept {
    if (!connection.traits().counts_acknowledgements) return true;
    // The peer's FIN is taken by no state of the handshake.
    if (connection.receiving() == receiving_phase::finished) return true;
    return tcp_info_of(connection.on().calls(), connection.descriptor()).counts_queues();
}

} // namespace ringdown
