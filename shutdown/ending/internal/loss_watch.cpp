#include <ringdown/shutdown/ending/internal/loss_watch.hpp>

#include <ringdown/shutdown/ending/internal/sampling.hpp>

namespace ringdown {

loss_watch::loss_watch(connection& connection) noexcept
    : connection_(connection), poll_(connection, "poll", *this, &loss_watch::settled) {}

void loss_watch::step() {
    if (poll_.in_flight()) return;
    poll_.launch([&](io_uring_sqe& sqe) {
        // The kernel always tells of POLLERR and POLLHUP. It tells of POLLRDHUP, too, because that
        // holds already: so this completes whenever anything happens to the socket.
        io_uring_prep_poll_multishot(&sqe, connection_.descriptor(), 0);
    });
}

void loss_watch::settled(completion what) noexcept {
    if (what.result > 0 && !stopped_) take_sample(connection_); // notes what SO_ERROR tells
}

} // namespace ringdown
