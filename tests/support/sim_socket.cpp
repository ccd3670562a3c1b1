#include "sim_socket.hpp"

#include <sys/socket.h>

namespace ringdown::sim {

using namespace std::chrono_literals;

// What connect(AF_UNSPEC) was seen to add to SIOCOUTQ: it moves the sequence number past the
// window.
constexpr int disconnect_garbage = 65'538;

tcp_socket::tcp_socket(world& in) : world_(in), peer_(in, *this, {}) {}

tcp_socket::tcp_socket(world& in, const peer_script& script, unsigned short peer_port)
    : world_(in), script_(script), peer_port_(peer_port),
      state_(script.fast_open ? syn_received : established), window_edge_(script.window),
      last_ack_(in.now()), last_data_(in.now()), progress_(in.now()), peer_(in, *this, script) {
    world_.after({}, [this] {
        peer_.run();
        if (state_ == syn_received) peer_.complete_handshake();
    });
}

int tcp_socket::send(const char* data, std::size_t bytes, bool more) {
    if (error_) return take_error();
    const bool open = state_ == established || state_ == syn_received || state_ == close_wait;
    if (send_shutdown_ || !open) return -EPIPE;
    const std::size_t used = stream_.size() - acked_;
    const std::size_t room = script_.send_capacity - std::min(script_.send_capacity, used);
    no_space_ |= room < bytes;
    if (!outstanding()) progress_ = world_.now();
    if (bytes > 0 && room == 0) return -EAGAIN;
    bytes = std::min(bytes, room);
    stream_.append(data, bytes);
    truth.accepted += bytes;
    if (more && !std::exchange(corked_, true))
        world_.after(200ms, [this] { corked_ = false, transmit(); });
    corked_ = more;
    transmit();
    return static_cast<int>(bytes);
}

void tcp_socket::segment_came() {
    if (state_ != syn_received) return;
    state_ = established;
    if (send_shutdown_) shutdown(SHUT_WR);
    wake(0);
}

// The peer gets what its window has room for; the FIN rides on the last segment.
void tcp_socket::transmit() {
    while (state_ != closed && !truth.fin_sent) {
        const std::uint64_t left = stream_.size() - sent_;
        const std::uint64_t bytes =
            std::min({left, std::uint64_t{segment_bytes}, window_edge_ - sent_});
        const bool fin = fin_queued_ && bytes == left;
        if (!fin && (bytes == 0 || (corked_ && left < segment_bytes))) break;
        peer_.outward.carry([this, from = sent_, bytes, fin] {
            peer_.segment_arrived(std::string_view(stream_).substr(from, bytes), fin);
        });
        sent_ += bytes;
        truth.fin_sent |= fin;
        truth.fin_with_data |= fin && bytes > 0;
    }
    watch_timeout();
}

int tcp_socket::receive(char* to, std::size_t bytes, bool discard, bool peek) {
    if (!incoming_.empty()) {
        bytes = std::min(bytes, incoming_.size());
        if (!discard) std::memcpy(to, incoming_.data(), bytes);
        if (peek) return static_cast<int>(bytes);
        incoming_.erase(0, bytes);
        truth.taken += bytes;
        peer_.outward.carry([this] { peer_.window_opened(); });
        return static_cast<int>(bytes);
    }
    if (peer_done_) return truth.finish_told = true, 0;
    if (error_) return take_error();
    if (receive_shutdown_) return 0;
    return state_ == closed ? -ENOTCONN : -EAGAIN;
}

int tcp_socket::shutdown(int how) {
    if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
    if (!outstanding()) progress_ = world_.now();
    corked_ = corked_ && how == SHUT_RD;
    receive_shutdown_ |= how != SHUT_WR;
    send_shutdown_ |= how != SHUT_RD;
    // During a handshake it is remembered only (Linux 6.9).
    if (state_ != closed && state_ != syn_received && how != SHUT_RD) {
        fin_queued_ = true;
        if (state_ == established) state_ = fin_wait1;
        if (state_ == close_wait) state_ = last_ack;
        transmit();
    }
    wake(0);
    return state_ == closed ? -ENOTCONN : 0;
}

int tcp_socket::disconnect() {
    const bool half_closed = state_ == closing || state_ == last_ack;
    const bool unsent = sent_ < stream_.size() || !truth.fin_sent;
    if (state_ != closed && (!half_closed || unsent)) {
        send_reset("connect(AF_UNSPEC) or linger {1,0}");
        error_ = ECONNRESET;
    }
    state_ = closed;
    send_shutdown_ = receive_shutdown_ = peer_done_ = false;
    drop_unread();
    disconnected_ = true;
    notify();
    wake(POLLERR);
    return 0;
}

int tcp_socket::listen() {
    listens_ = true;
    options_[{SOL_SOCKET, SO_ACCEPTCONN}] = 1;
    return 0;
}

void tcp_socket::knock(const peer_script& script) {
    queue_.push_back(script);
    wake(POLLIN | POLLRDNORM);
}

std::optional<peer_script> tcp_socket::next_in_queue() {
    if (queue_.empty()) return {};
    peer_script next = std::move(queue_.front());
    queue_.pop_front();
    return next;
}

void tcp_socket::released() {
    if (state_ != closed && !incoming_.empty()) {
        send_reset("closed with unread data");
        end(0);
    } else if (state_ != closed && resets_when_closed()) {
        disconnect();
    } else if (state_ != closed) {
        if (linger_)
            world_.violation("close with a linger time blocks the loop (kernel.md, fact 5)");
        shutdown(SHUT_RDWR);
    }
    drop_unread();
    orphaned_ = true;
}

void tcp_socket::send_reset(const char* cause) {
    (orphaned_ ? truth.reset_sent_later : truth.reset_sent) = true;
    truth.reset_cause = cause;
    peer_.outward.carry([this] { peer_.reset_arrived(); });
}

void tcp_socket::end(int error) {
    error_ = error;
    state_ = closed;
    send_shutdown_ = receive_shutdown_ = true;
    notify();
    // Two wakes, as by sk_error_report and sk_state_change.
    if (error) wake(POLLERR);
    wake(0);
}

void tcp_socket::acknowledged(std::uint64_t bytes, bool fin, std::uint64_t window_edge) {
    segment_came();
    if (state_ == closed) return;
    last_ack_ = world_.now();
    window_edge_ = std::max(window_edge_, window_edge);
    if (bytes > acked_ || (fin && !truth.fin_acknowledged)) progress_ = world_.now();
    acked_ = truth.acknowledged = std::max(acked_, bytes);
    if (fin && !std::exchange(truth.fin_acknowledged, true)) {
        truth.fin_acknowledged_at = world_.now();
        if (state_ == fin_wait1) {
            state_ = fin_wait2;
            wake(0);
        } else {
            end(0); // TIME_WAIT after CLOSING is another object: this one is closed
        }
    }
    notify();
    transmit();
    if (no_space_ && poll_mask() & POLLOUT) {
        no_space_ = false;
        wake(POLLOUT | POLLWRNORM);
    }
}

void tcp_socket::data_arrived(std::string_view data) {
    segment_came();
    if (state_ == closed) return;
    if (receive_shutdown_ && (state_ == fin_wait1 || state_ == fin_wait2)) {
        send_reset("data after both directions were shut down");
        return end(ECONNRESET);
    }
    incoming_ += data;
    truth.from_peer += data.size();
    last_data_ = world_.now();
    wake(POLLIN | POLLRDNORM);
}

void tcp_socket::fin_arrived() {
    segment_came();
    if (state_ == closed) return;
    (orphaned_ ? truth.peer_finished_later : truth.peer_finished) = true;
    truth.peer_finished_at = world_.now();
    peer_done_ = receive_shutdown_ = true;
    if (state_ == fin_wait2) return end(0);
    state_ = state_ == established ? close_wait : closing;
    wake(0);
}

void tcp_socket::reset_arrived() {
    if (state_ == closed) return;
    (orphaned_ ? truth.reset_received_later : truth.reset_received) = true;
    truth.reset_received_at = world_.now();
    end(state_ == close_wait ? EPIPE : ECONNRESET);
}

// After close the window stays as it was: nobody reads, so nothing more may come than that.
std::size_t tcp_socket::receive_room() const {
    return script_.receive_capacity -
           std::min<std::size_t>(script_.receive_capacity, incoming_.size());
}

bool tcp_socket::outstanding() const {
    return state_ != closed &&
           (acked_ < stream_.size() || (fin_queued_ && !truth.fin_acknowledged));
}

// Retransmission gives up after about 15 minutes, or TCP_USER_TIMEOUT, without progress. A window
// that is closed but alive is probed for ever, unless TCP_USER_TIMEOUT is set.
void tcp_socket::watch_timeout() {
    if (timeout_armed_ || !outstanding()) return;
    const duration limit = user_timeout_ms_ ? user_timeout_ms_ * 1ms : duration(924s);
    timeout_armed_ = true;
    world_.at(std::max(progress_, world_.now()) + limit, [this, limit] {
        timeout_armed_ = false;
        const bool answered = peer_.answers() && sent_ == acked_ && sent_ < stream_.size();
        if (!outstanding() || (answered && !user_timeout_ms_)) return;
        if (world_.now() - progress_ < limit) return watch_timeout();
        truth.timed_out = true;
        end(script_.loss_errno);
    });
}

void tcp_socket::notify() {
    for (operation* each : watchers())
        if (each->stage == operation::phase::notification) each->woken = true;
}

int tcp_socket::queued_out() const {
    if (!peer_port_ || state_ == syn_received) return 0;
    const bool fin = fin_queued_ && !truth.fin_acknowledged;
    const auto bytes = static_cast<int>(stream_.size() - acked_) + (fin ? 1 : 0);
    return disconnected_ ? bytes + disconnect_garbage : bytes;
}

unsigned tcp_socket::poll_mask() {
    if (listens_) return queue_.empty() ? 0U : POLLIN | POLLRDNORM;
    unsigned mask = error_ ? POLLERR : 0U;
    if (state_ == closed || (send_shutdown_ && receive_shutdown_)) mask |= POLLHUP;
    if (receive_shutdown_) mask |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (!incoming_.empty()) mask |= POLLIN | POLLRDNORM;
    const std::size_t used = stream_.size() - acked_;
    const bool writable = send_shutdown_ || used * 3 <= script_.send_capacity * 2;
    if (writable)
        mask |= POLLOUT | POLLWRNORM;
    else
        no_space_ = true;
    return mask;
}

} // namespace ringdown::sim
