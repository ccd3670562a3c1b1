#include <ringdown/shutdown/peer_closed.hpp>

#include <poll.h>

#include <ringdown/shutdown/delivery_sample.hpp>

namespace ringdown {
namespace {

result<peer_end> known_end(const connection& of) noexcept {
    if (of.was_reset()) return peer_end::reset;
    if (of.end_errno() != 0) return std::unexpected(system_error(-of.end_errno()));
    return peer_end::finished;
}

} // namespace

bool peer_closed_operation::begin() {
    connection& of = target();
    const bool known = of.receiving() == receiving_phase::finished || of.end_errno() != 0;
    if (of.life() != life_phase::open || known) {
        answer_ = known ? known_end(of) : std::unexpected(make_error_code(errc::ending));
        stay();
        return false;
    }
    of.note_in_use();
    launch([&](io_uring_sqe& sqe) { io_uring_prep_poll_add(&sqe, of.descriptor(), POLLRDHUP); });
    return true;
}

void peer_closed_operation::settled(completion what) noexcept {
    connection& of = target();
    if (what.result < 0 || of.life() >= life_phase::aborting) {
        answer_ = std::unexpected(of.error_of(what.result));
    } else {
        // Reading the error notes a reset on the connection, because the kernel tells it once.
        if (what.result & POLLERR) take_sample(of);
        answer_ = known_end(of);
        if (of.end_errno() == 0) of.note_peer_finished();
    }
    wake();
}

void peer_closed_operation::cancel(cancel_reason reason) noexcept {
    target().note_canceled(reason);
    request_cancel();
}

} // namespace ringdown
