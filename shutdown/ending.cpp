#include <ringdown/shutdown/ending.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <ringdown/net/inbox.hpp>
#include <ringdown/net/peer_name.hpp>
#include <ringdown/runtime/assert.hpp>
#include <ringdown/runtime/uapi.hpp>
#include <ringdown/shutdown/ledger.hpp>

namespace ringdown {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t discard_at_once = 1 << 20;

// Where unix sockets, which cannot drop what was not copied, copy it to.
class discard_buffer final : public loop_service {
public:
    explicit discard_buffer(loop&) {}
    std::byte bytes[64 * 1024];
};

void disconnect(connection& aborted) noexcept {
    system& calls = aborted.on().calls();
    const int fd = aborted.descriptor();
    if (aborted.from().kind != connection_kind::tcp) {
        calls.shutdown(fd, SHUT_RDWR);
        return;
    }
    // RST leaves at once, in spite of operations in flight, which end by themselves.
    const sockaddr unspecified{.sa_family = AF_UNSPEC, .sa_data = {}};
    calls.connect(fd, &unspecified, sizeof unspecified);
}

} // namespace

void end_abandoned(connection& left, abandonment why) noexcept {
    const bool dropped = why == abandonment::dropped;
    if (left.ending()) {
        if (!dropped) ending::of(left).abort(teardown_cause::canceled);
        return;
    }
    ending_request request;
    request.cause = dropped ? teardown_cause::dropped : teardown_cause::canceled;
    request.requested = requested_ending::none;
    if (dropped && left.when_dropped().action == drop_action::finish) {
        request.requested = requested_ending::background;
        request.policy.within = left.when_dropped().within;
    }
    ending::begin(left, request);
}

ending::ending(connection& of, const ending_request& request) noexcept
    : timer(of.on().timers()), connection_(of), request_(request), asked_at_(of.on().now()),
      deadline_(later(asked_at_, request.policy.within)), progress_at_(asked_at_),
      discard_(of, "discard", *this, &ending::discard_settled, true),
      queue_(of, "siocoutq", *this, &ending::queue_settled),
      watch_(of, "poll", *this, &ending::watch_settled),
      peer_name_(of, "peername", *this, &ending::peer_name_settled),
      close_(of, "close", *this, &ending::close_settled) {
    if (request.policy.deadline) deadline_ = std::min(deadline_, *request.policy.deadline);
}

ending& ending::begin(connection& of, const ending_request& request) {
    require(!of.ending(), "a connection was ended twice");
    auto* begun = new ending(of, request);
    of.set_ending(begun);
    begun->start();
    return *begun;
}

void ending::start() {
    connection& of = connection_;
    observe();
    auto& times = report_.microseconds;
    for (auto* reached : {&times.flush, &times.fin_acknowledged, &times.peer_finished})
        if (*reached) *reached = 0us; // before the request
    if (request_.requested == requested_ending::abort ||
        request_.requested == requested_ending::none) {
        abort(request_.cause);
        return;
    }
    if (of.receiving() == receiving_phase::finished && of.ended_first() == first_end::peer &&
        request_.cause == teardown_cause::application)
        request_.cause = teardown_cause::peer_finished;
    if (of.cut_short()) {
        abort(teardown_cause::canceled);
        return;
    }
    of.enter(life_phase::ending);
    if (inbox* dropped = of.own_inbox()) dropped->seal();
    of.cancel_operations(false);
    ask_peer_name();
    if (of.end_errno() == 0) {
        if (of.receiving() == receiving_phase::open) of.enter(receiving_phase::discarding);
        of.request_fin();
        schedule();
    }
    advance();
}

void ending::advance() noexcept {
    if (connection_.life() >= life_phase::joined) {
        if (!close_.in_flight()) finish();
        return;
    }
    observe();
    if (!decided_) step();
    if (decided_ && connection_.idle()) close();
}

// Times are those at which the loop saw the phase.
void ending::observe() noexcept {
    auto& times = report_.microseconds;
    const auto since = [&] {
        return std::chrono::duration_cast<teardown_report::times::duration>(connection_.on().now() -
                                                                            asked_at_);
    };
    if (!times.flush && connection_.sending() >= sending_phase::fin_sent) {
        times.flush = since();
        queue_wanted_ = true;
    }
    if (!times.peer_finished && connection_.receiving() == receiving_phase::finished) {
        times.peer_finished = since();
        queue_wanted_ = true;
    }
    if (!times.fin_acknowledged && connection_.sending() == sending_phase::fin_acknowledged)
        times.fin_acknowledged = since();
}

void ending::step() {
    connection& of = connection_;
    if (of.end_errno() != 0) {
        decide(take_sample(of));
        return;
    }
    if (error_) abort(teardown_cause::error);
    if (!decided_) step_sending();
    if (!decided_) step_discarding();
    if (decided_) return;

    const bool acknowledged = of.sending() == sending_phase::fin_acknowledged;
    const bool waits_for_peer = request_.requested != requested_ending::wait;
    if (acknowledged && (!waits_for_peer || of.receiving() == receiving_phase::finished))
        decide({});
}

void ending::step_sending() {
    connection& of = connection_;
    if (of.sending() == sending_phase::flushing && of.fin().settled_event().happened()) {
        // FIN was refused: a send before it was cut short, or there is no connection any more.
        const int refused = of.fin().result();
        if (refused != -ECANCELED && refused != -ENOTCONN) error_ = system_error(refused);
        abort(refused == -ECANCELED ? teardown_cause::canceled : teardown_cause::error);
        return;
    }
    if (of.sending() == sending_phase::fin_sent && queue_wanted_ && !queue_.in_flight())
        ask_queue();
}

void ending::step_discarding() {
    connection& of = connection_;
    if (of.receiving() != receiving_phase::discarding) return;
    if (of.bytes().discarded > request_.policy.discard_bytes_max) {
        abort(teardown_cause::discard_limit);
        return;
    }
    const bool through_inbox = of.own_inbox() && of.own_inbox()->in_flight();
    // What the application's own receive still brings is older than what is discarded.
    if (discard_.in_flight() || through_inbox || of.cancels_in_flight()) return;
    const std::uint64_t room = request_.policy.discard_bytes_max - of.bytes().discarded + 1;
    discard_.launch([&](io_uring_sqe& sqe) {
        if (of.from().kind == connection_kind::tcp) {
            io_uring_prep_recv(&sqe, of.descriptor(), nullptr, std::min(room, discard_at_once),
                               MSG_TRUNC);
        } else {
            auto& into = of.on().service<discard_buffer>().bytes;
            io_uring_prep_recv(&sqe, of.descriptor(), into, std::min(room, sizeof into), 0);
        }
    });
}

void ending::discard_settled(completion what) noexcept {
    connection& of = connection_;
    if (what.result > 0) {
        of.bytes().discarded += static_cast<std::uint64_t>(what.result);
        progress_at_ = of.on().now();
    } else if (what.result == 0) {
        of.note_nothing_received(what);
    } else if (what.result != -ECANCELED && what.result != -EINTR) {
        of.note_error(what.result);
        if (of.end_errno() == 0 && !decided_) error_ = system_error(what.result);
    }
}

void ending::ask_queue() {
    queue_wanted_ = false;
    connection& of = connection_;
    if (of.on().has(capability::socket_queue_commands) && of.from().kind == connection_kind::tcp) {
        queue_.launch([&](io_uring_sqe& sqe) {
            uapi::prepare_socket_queue(sqe, uapi::socket_siocoutq, of.descriptor());
        });
        return;
    }
    int queued = 0;
    const int refused = of.on().calls().ioctl(of.descriptor(), SIOCOUTQ, queued);
    queue_settled({refused < 0 ? refused : queued, 0});
}

void ending::queue_settled(completion what) noexcept {
    connection& of = connection_;
    if (of.sending() != sending_phase::fin_sent || decided_ || what.result < 0) return;
    if (what.result == 0) {
        of.enter(sending_phase::fin_acknowledged);
        progress_at_ = of.on().now();
        observe();
        return;
    }
    if (of.receiving() == receiving_phase::finished && of.ended_first() == first_end::local)
        crossed_ = true;
    // Unix sockets have no event for a queue that empties: the timer asks again.
    if (watch_.in_flight() || of.from().kind != connection_kind::tcp) return;
    // After FIN, a poll for writing posts at once and again when the queue has emptied.
    watch_.launch(
        [&](io_uring_sqe& sqe) { io_uring_prep_poll_multishot(&sqe, of.descriptor(), POLLOUT); });
}

void ending::watch_settled(completion what) noexcept {
    queue_wanted_ = true;
    if (what.result < 0 || !(static_cast<unsigned>(what.result) & POLLERR)) return;
    if (!decided_) take_sample(connection_); // notes what SO_ERROR tells
}

void ending::ask_peer_name() {
    connection& of = connection_;
    if (of.from().peer.family() != AF_UNSPEC) return;
    if (!of.on().has(capability::socket_option_commands)) {
        of.set_peer(peer_name(of.on().calls(), of.descriptor()));
        return;
    }
    peer_name_.launch([&](io_uring_sqe& sqe) {
        operations::peer_name{of.descriptor(), of.from().ipv6, &report_.peer}.prepare(sqe);
    });
}

void ending::peer_name_settled(completion what) noexcept {
    if (what.result <= 0 || connection_.from().peer.family() != AF_UNSPEC) return;
    report_.peer.resize(static_cast<socklen_t>(what.result));
    connection_.set_peer(report_.peer);
}

void ending::decide(const delivery_sample& sample) noexcept {
    connection& of = connection_;
    decided_ = sample;
    unset();
    of.sends().refuse_waiting();
    if (of.life() == life_phase::aborting)
        of.cancel_after_reset();
    else
        of.cancel_operations(true);
}

void ending::abort(teardown_cause why) noexcept {
    connection& of = connection_;
    if (decided_) return;
    if (of.from().peer.family() == AF_UNSPEC)
        of.set_peer(peer_name(of.on().calls(), of.descriptor()));
    const delivery_sample sample = take_sample(of);
    if (sample.gone || of.end_errno() != 0) {
        // There is nothing left to reset. By what it ended, completions still to come may tell.
        if (of.life() == life_phase::open) of.enter(life_phase::ending);
    } else {
        aborted_by_ = why;
        of.enter(life_phase::aborting);
        disconnect(of);
    }
    if (inbox* dropped = of.own_inbox()) dropped->seal();
    decide(sample);
    if (of.idle()) close();
}

// A connection that was gone when it was sampled: both sides have finished, or some operation
// that was cut short has swallowed the error of a reset.
void ending::settle_gone() noexcept {
    connection& of = connection_;
    if (!decided_->gone || of.end_errno() != 0) return;
    const bool fin_left = of.sending() >= sending_phase::fin_sent;
    if (fin_left && decided_->acknowledged > of.bytes().sent)
        of.note_end_of_stream();
    else
        of.note_error(-ECONNRESET);
}

// A wait ends before the peer does; bytes that came meanwhile and stayed unread would turn the
// close into a reset.
void ending::drop_late_bytes() noexcept {
    connection& of = connection_;
    for (;;) {
        const int dropped = of.on().calls().recv(of.descriptor(), nullptr, discard_at_once,
                                                 MSG_TRUNC | MSG_DONTWAIT);
        if (dropped == 0) of.note_end_of_stream();
        if (dropped < 0) of.note_error(dropped);
        if (dropped <= 0) return;
        of.bytes().discarded += static_cast<std::uint64_t>(dropped);
        if (of.bytes().discarded > request_.policy.discard_bytes_max) return;
    }
}

void ending::close() {
    connection& of = connection_;
    const auto peer_may_send = [&of, graceful = of.life() == life_phase::ending] {
        return graceful && of.receiving() == receiving_phase::discarding &&
               of.from().kind == connection_kind::tcp;
    };
    settle_gone();
    if (peer_may_send()) drop_late_bytes();
    of.enter(life_phase::joined);
    if (peer_may_send()) {
        // What came even later makes the close reset, so both happen in one breath, in place.
        system& calls = of.on().calls();
        calls.ioctl(of.descriptor(), SIOCINQ, unread_bytes_);
        close_settled({calls.close(of.descriptor()), 0});
        finish();
        return;
    }
    close_.launch([&](io_uring_sqe& sqe) { io_uring_prep_close(&sqe, of.descriptor()); });
}

void ending::close_settled(completion what) noexcept {
    if (what.result < 0) error_ = system_error(what.result);
}

void ending::finish() {
    connection& of = connection_;
    // The sample may know more than was seen before it.
    if (of.sending() == sending_phase::fin_sent && acknowledged() > of.bytes().sent)
        of.enter(sending_phase::fin_acknowledged);
    observe();
    report_ = make_report();
    const connection_ref kept(connection_);
    connection_.closed();
    ledger(connection_.on()).enter(report_);
    // The reference that ends here may be the last: then the block goes, and this with it.
}

void ending::tighten(time_point deadline) noexcept {
    deadline_ = std::min(deadline_, deadline);
    if (!decided_) schedule();
}

bool ending::waits_for_acknowledgement() const noexcept {
    return connection_.sending() < sending_phase::fin_acknowledged;
}

void ending::schedule() noexcept {
    const auto idle = request_.policy.idle;
    time_point next = deadline_;
    if (idle > 0ns && idle < std::chrono::hours(24)) {
        // Acknowledgements have no event of their own, so while some are due they are looked for
        // several times within the idle time.
        const auto look = std::max<std::chrono::nanoseconds>(idle / 16, 1ms);
        const auto now = connection_.on().now();
        next =
            std::min(next, waits_for_acknowledgement() ? std::min(now + look, progress_at_ + idle)
                                                       : progress_at_ + idle);
        next = std::max(next, now + 100us);
    }
    if (connection_.from().kind != connection_kind::tcp && waits_for_acknowledgement())
        next = std::min(next, connection_.on().now() + 2ms);
    set(std::min(next, deadline_));
}

void ending::look_for_acknowledgements(time_point now) noexcept {
    const delivery_sample sample = take_sample(connection_);
    if (connection_.from().kind != connection_kind::tcp) {
        // What was accepted less what waits there changes with every byte written or read.
        const std::uint64_t through = connection_.bytes().sent - sample.queued;
        const auto earlier = std::exchange(acknowledged_before_, through);
        if (earlier && earlier != through) progress_at_ = now;
        return;
    }
    const auto before = std::exchange(acknowledged_before_, sample.acknowledged);
    if (before == sample.acknowledged) return;
    // It came with the last acknowledgement at the latest. The first look only knows that age.
    const auto came = now - std::chrono::milliseconds(sample.acknowledgement_age_ms);
    progress_at_ = std::max(progress_at_, came);
}

void ending::expired() noexcept {
    const auto now = connection_.on().now();
    if (now >= deadline_) {
        abort(teardown_cause::deadline);
        return;
    }
    if (waits_for_acknowledgement()) look_for_acknowledgements(now);
    const auto idle = request_.policy.idle;
    if (connection_.end_errno() == 0 && idle > 0ns && now - progress_at_ >= idle) {
        abort(teardown_cause::idle);
        return;
    }
    queue_wanted_ = queue_wanted_ || connection_.from().kind != connection_kind::tcp;
    schedule();
    advance();
}

} // namespace ringdown
