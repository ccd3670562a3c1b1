#include <ringdown/net/internal/connection.hpp>

#include <atomic>
#include <cerrno>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <ringdown/net/internal/connection_operation.hpp>
#include <ringdown/net/internal/discard.hpp>
#include <ringdown/net/internal/fin.hpp>
#include <ringdown/net/internal/inbox.hpp>
#include <ringdown/net/internal/layered.hpp>
#include <ringdown/net/internal/message_receive.hpp>
#include <ringdown/net/internal/peer_name.hpp>
#include <ringdown/net/internal/tcp_state.hpp>
#include <ringdown/runtime/internal/assert.hpp>

namespace ringdown {
namespace {

std::uint64_t next_number() noexcept {
    static std::atomic<std::uint64_t> count{0};
    return count.fetch_add(1, std::memory_order_relaxed) + 1;
}

bool network_gave_up(int error) noexcept {
    return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH ||
           error == EHOSTDOWN || error == ENETDOWN;
}

// EPIPE: the peer reset after it had finished, or nobody is there to read.
bool reset_by_peer(int error) noexcept { return error == ECONNRESET || error == EPIPE; }

} // namespace

void connection_operation::completed(completion what) noexcept {
    connection& touched = connection_;
    if (!in_flight()) unlink();
    settled(what);
    touched.changed();
}

connection& connection::adopt(loop& loop, int fd, const origin& from) {
    auto* made = new connection(loop, fd, from);
    loop.admit(*made);
    return *made;
}

connection::connection(loop& loop, int fd, const origin& from) noexcept
    : loop_(loop), fd_(fd), number_(next_number()), traits_(from.traits), ipv6_(from.ipv6),
      syn_counted_(from.acknowledged_before == 1) {
    if (from.acknowledged_before > 1) need_extras().acknowledged_before = from.acknowledged_before;
    const bool named = from.peer.size() > sizeof(sa_family_t);
    if (named) peer_.set(from.peer);
}

connection::extras::~extras() {
    delete at_end;
    delete ending;
    delete beneath;
}

connection::~connection() {
    if (through_inbox_) delete inbox_;
    delete extras_;
}

address connection::peer() const noexcept {
    if (!traits_.has_names && !peer_) return address(AF_UNIX); // unix peers have no name
    return peer_.get();
}

address connection::learn_peer() noexcept {
    if (!knows_peer() && life_ < life_phase::joined)
        peer_.set(peer_name(loop_.calls(), fd_, ipv6_ ? AF_INET6 : AF_INET));
    return peer();
}

void connection::note_closed() noexcept {
    enter(life_phase::closed);
    fd_ = -1;
    unlink();
}

void connection::unfollow(connection_follower& follower) noexcept {
    if (last_follower_ == &follower) {
        last_follower_ = follower.before();
        return;
    }
    auto* later = last_follower_;
    while (later && later->before() != &follower)
        later = later->before();
    if (later) later->set_before(follower.before());
}

bool connection::marked_idle() const noexcept {
    for (const auto* each = last_follower_; each; each = each->before())
        if (each->marked_idle()) return true;
    return false;
}

void connection::note_end_told() noexcept {
    if (end_told()) return;
    bool early = expects_goodbye_ || goodbye_missing();
    for (const auto* each = last_follower_; each; each = each->before())
        early = early || each->expects_more();
    told_ = early ? told_end::truncated : told_end::whole;
}

bool connection::truncated() const noexcept {
    if (end_told()) return told_ == told_end::truncated;
    return receiving_ == receiving_phase::finished && goodbye_missing();
}

void connection::release() noexcept {
    if (--references_ == 0 && life_ == life_phase::closed) delete this;
}

void connection::enter(sending_phase next) noexcept {
    require(legal(sending_, next), "illegal move of a connection's sending phase");
    sending_ = next;
}

void connection::enter(receiving_phase next) noexcept {
    require(legal(receiving_, next), "illegal move of a connection's receiving phase");
    receiving_ = next;
}

void connection::enter(life_phase next) noexcept {
    require(legal(life_, next), "illegal move of a connection's life");
    life_ = next;
}

bool connection::was_reset() const noexcept { return reset_by_peer(end_errno_); }

void connection::note_error(int negated_errno) noexcept {
    const int error = -negated_errno;
    // Our own abort resets what is in flight; that is not the peer's doing. Where an abort is no
    // reset, it is the peer's even then.
    const bool may_be_ours = traits_.resets_on_demand || error != ECONNRESET;
    if (end_errno_ != 0 || (life_ >= life_phase::aborting && may_be_ours)) return;
    // What became of one datagram says nothing about the next.
    if (!traits_.has_peer) return;
    if (!reset_by_peer(error) && !network_gave_up(error)) return;
    end_errno_ = error;
    note_first(first_end::peer);
    if (receiving_ == receiving_phase::open || receiving_ == receiving_phase::discarding)
        enter(receiving_phase::reset);
    if (layered* beneath = own_layer()) beneath->wake_turn();
}

void connection::note_end_of_stream() noexcept {
    if (life_ >= life_phase::aborting) return;
    note_first(first_end::peer);
    if (receiving_ == receiving_phase::open || receiving_ == receiving_phase::discarding)
        enter(receiving_phase::finished);
    if (layered* beneath = own_layer()) beneath->wake_turn();
}

void connection::note_nothing_received(completion what) noexcept {
    if (life_ >= life_phase::aborting) return; // our own reset did that; a crowd has no time to ask
    // Every end of a TCP stream by FIN carries the flag; without it the state decides.
    const bool by_fin = !traits_.counts_acknowledgements ||
                        (what.flags & IORING_CQE_F_SOCK_NONEMPTY) ||
                        tcp_info_of(loop_.calls(), fd_).state != tcp_state::closed;
    if (by_fin) {
        note_end_of_stream();
        return;
    }
    const int error = socket_error_of(loop_.calls(), fd_);
    note_error(error ? -error : -ECONNRESET);
}

std::error_code connection::error_of(int negated_errno) const noexcept {
    if (life_ >= life_phase::aborting) return canceled();
    if (end_errno_ != 0 && negated_errno != -ECANCELED)
        return was_reset() ? std::make_error_code(std::errc::connection_reset)
                           : system_error(-end_errno_);
    return system_error(negated_errno);
}

std::error_code connection::refuses_sending() const noexcept {
    if (sealed(allowance::answers)) return errc::ending;
    if (end_errno_ != 0) return error_of(-end_errno_);
    if (sending_ != sending_phase::open) return std::make_error_code(std::errc::broken_pipe);
    return {};
}

std::error_code connection::refuses_receiving() const noexcept {
    if (!accepts_receives()) return errc::ending;
    return {};
}

void connection::note_fin_refused() noexcept {
    if (ended_first_ == first_end::local)
        ended_first_ = end_errno_ != 0 ? first_end::peer : first_end::none;
}

void connection::stop_sends() noexcept {
    sends_stopped_ = true;
    sends_.refuse_waiting();
    if (layered* beneath = own_layer()) beneath->wake_turn();
}

bool connection::note_continued() noexcept {
    if (!cut_short()) return false;
    extras_->continued_bytes = std::exchange(extras_->cut_bytes, 0);
    bytes_.handed -= extras_->continued_bytes;
    return true;
}

void connection::note_not_continued() noexcept {
    bytes_.handed += extras_->continued_bytes;
    extras_->cut_bytes = extras_->continued_bytes;
}

farewell& connection::make_farewell() {
    auto& last_words = need_extras().last_words;
    if (!last_words) last_words = std::make_unique<farewell>();
    return *last_words;
}

bool connection::request_fin() noexcept {
    if (sending_ != sending_phase::open) return true;
    if (cut_short()) return false;
    enter(sending_phase::flushing);
    sends_.push(need_operations_at_end().fin.emplace(*this));
    return true;
}

void connection::withdraw(queued_operation& waiting) noexcept {
    send_queue::withdraw(waiting, sending_ == sending_phase::flushing ? &fin() : nullptr);
}

bool connection::cancels_in_flight() noexcept {
    bool found = false;
    in_flight_.for_each([&found](connection_operation& operation) {
        found = found || operation.when_ending() == at_ending::cancel;
    });
    return found;
}

bool connection::pins_buffers() noexcept {
    bool found = false;
    in_flight_.for_each(
        [&found](connection_operation& operation) { found = found || operation.pins_buffer(); });
    return found;
}

bool connection::lets_go_of_descriptor() noexcept {
    bool found = false;
    in_flight_.for_each(
        [&found](connection_operation& operation) { found = found || !operation.only_pins(); });
    return !found;
}

void connection::cancel_after_reset() noexcept {
    const bool by_itself = traits_.resets_on_demand;
    in_flight_.for_each([by_itself](connection_operation& operation) {
        if (!by_itself || !operation.ends_with_reset()) operation.request_cancel();
    });
}

void connection::cancel_operations(bool everything) noexcept {
    in_flight_.for_each([everything](connection_operation& operation) {
        if (everything || operation.when_ending() == at_ending::cancel) operation.request_cancel();
    });
}

inbox& connection::make_inbox() {
    if (!through_inbox_) {
        require_no_receive();
        inbox_ = new inbox(*this);
        through_inbox_ = true;
    }
    return *inbox_;
}

void connection::use_layer(std::unique_ptr<layer> beneath) {
    require(!has_layer_, "a stream was given a second layer");
    require(all_sent(), "a stream was given a layer while it sent; await its sends first");
    inbox& through = make_inbox();
    require(!through.has_reader(),
            "a stream was given a layer while it received; await its receive first");
    need_extras().beneath = new layered(*this, std::move(beneath));
    has_layer_ = true;
    extras_->beneath->begin();
    through.begin_layer();
}

bool connection::goodbye_missing() const noexcept {
    return has_layer_ && !extras_->beneath->peer_said_goodbye();
}

std::uint64_t connection::wire_sent() const noexcept {
    return has_layer_ ? extras_->beneath->wire_sent() : bytes_.sent;
}

std::uint64_t connection::wire_received() const noexcept {
    return has_layer_ ? extras_->beneath->wire_received() : bytes_.received + bytes_.discarded;
}

std::uint64_t connection::acknowledged(std::uint64_t wire) const noexcept {
    return has_layer_ ? extras_->beneath->acknowledged(wire) : wire;
}

std::error_code connection::layer_error() const noexcept {
    return has_layer_ ? extras_->beneath->error() : std::error_code();
}

bool connection::all_sent() const noexcept {
    return sends_.empty() && (!has_layer_ || extras_->beneath->all_sent());
}

void connection::stop_receiving(std::uint64_t discard_bytes_max) {
    discarder& dropping = make_discarder();
    dropping.set_limit(discard_bytes_max);
    if (!stopped_receiving_) watch_changes(dropping);
    stopped_receiving_ = true;
    if (receiving_ == receiving_phase::open) enter(receiving_phase::discarding);
    if (through_inbox_) {
        inbox_->seal();
        inbox_->request_cancel();
    } else if (receive_) {
        receive_->request_cancel();
    }
    look();
}

connection::operations_at_end& connection::need_operations_at_end() {
    auto*& at_end = need_extras().at_end;
    if (!at_end) at_end = new operations_at_end;
    return *at_end;
}

discarder& connection::make_discarder() {
    auto& discard = need_operations_at_end().discard;
    return discard ? *discard : discard.emplace(*this);
}

bool connection::receives() const noexcept {
    return through_inbox_ ? inbox_->in_flight() : receive_ != nullptr;
}

int connection::waits_in_kernel() noexcept {
    if (has_layer_ && extras_->beneath->over()) return 0;
    int unread = 0;
    loop_.calls().ioctl(fd_, SIOCINQ, unread); // refused: none
    return unread;
}

bool connection::has_unread() noexcept {
    if (receives() || (through_inbox_ && inbox_->holds_data())) return true;
    const bool unread = waits_in_kernel() > 0;
    if (unread || !traits_.keeps_messages) return unread;
    // An empty message counts no bytes. Looking for one tells an error that is due, once, ahead of
    // the messages that came before it.
    int waits = look_for_message(loop_.calls(), fd_);
    if (reset_by_peer(-waits)) {
        note_error(waits);
        waits = look_for_message(loop_.calls(), fd_);
    }
    return waits > 0;
}

peer_watch& connection::make_peer_watch() {
    auto& made = need_extras().peer_end;
    if (!made) made = std::make_unique<peer_watch>(*this);
    return *made;
}

void connection::set_at_peer_end(std::unique_ptr<change_watcher> watcher) noexcept {
    watch_changes(*watcher);
    extras_->at_peer_end = std::move(watcher);
}

void connection::set_ending(ending_driver& driver) noexcept {
    need_extras().ending = &driver;
    extras_->looking.for_each([](change_watcher& each) { each.connection_ends(); });
}

void connection::look() noexcept {
    const connection_ref kept(*this); // one of them may end it
    auto& looking = extras_->looking;
    change_watcher* at = looking.empty() ? nullptr : &looking.front();
    while (at && !extras_->ending) {
        change_watcher* after = looking.next(*at);
        at->look();
        at = after;
    }
}

void connection::abandon() noexcept {
    if (life_ != life_phase::open) return;
    end_abandoned(*this, canceled_by_scope_ ? abandonment::canceled : abandonment::dropped);
}

} // namespace ringdown
