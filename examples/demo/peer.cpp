// The course of a peer: from connecting to its end.

#include "peer.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace ringdown_demo {

namespace {

using namespace std::chrono_literals;

constexpr auto never = clock::time_point::max();

std::string request_line(const peer_kind& kind, std::uint64_t amount) {
    switch (kind.request) {
    case request_kind::none:
        return {};
    case request_kind::echo:
        return "echo\n";
    case request_kind::answer:
        return fmt::format("answer {}\n", amount);
    }
    return {};
}

} // namespace

peer::peer(const script& role, record& seen)
    : role_(role), kind_(all_kinds()[role.kind]), seen_(seen),
      line_(request_line(kind_, role.amount)) {
    const bool echo = kind_.request == request_kind::echo;
    seen_.kind = role.kind;
    seen_.amount = role.amount;
    seen_.line_bytes = line_.size();
    // An echo differs from connection to connection, so that crossed streams show.
    salt_ = echo ? seen_.number : 0;
    to_write_ = line_.size() + (echo ? role.amount : role.body);
}

bool peer::open(const sockaddr_in& source, const sockaddr_in& server) {
    fd_ = bound_socket(source, kind_.receive_buffer);
    if (!fd_.is_open()) {
        return false;
    }
    seen_.address = to_string(source);
    seen_.opened = clock::now();
    const int done =
        ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&server), sizeof server);
    if (done == 0 || errno == EINPROGRESS) {
        return true;
    }
    const int why = errno;
    fd_.close();
    errno = why;
    return false;
}

clock::time_point peer::wake_at() const {
    return stage_ == stage::talking ? std::min({next_read_, next_write_, next_look_, leave_at_})
                                    : never;
}

next_step peer::on_event(std::uint32_t events) {
    if (stage_ == stage::connecting) {
        return on_connected();
    }
    if (stage_ != stage::talking) {
        return next_step::wait;
    }
    hung_up_ = hung_up_ || (events & (EPOLLERR | EPOLLHUP)) != 0;
    return advance();
}

next_step peer::on_timer() { return stage_ == stage::talking ? advance() : next_step::wait; }

next_step peer::on_connected() {
    const int error = take_error(fd_.get());
    if (error == 0 && query_state(fd_.get()).state == TCP_SYN_SENT) {
        return next_step::wait;
    }
    note_error(error);
    // RST for a SYN is ECONNREFUSED: a reset means that there was a connection before.
    seen_.established = error == 0 || seen_.reset_seen;
    if (seen_.established) {
        seen_.connected = clock::now();
    }
    if (error != 0) {
        return end();
    }
    stage_ = stage::talking;
    may_write_ = to_write_;
    if (kind_.write_bytes > 0) {
        may_write_ = line_.size();
        next_write_ = seen_.connected;
    }
    if (kind_.reads == reading::slowly) {
        next_read_ = seen_.connected;
    }
    return advance();
}

next_step peer::advance() {
    write_some();
    const bool more_to_read = read_some();
    watch_own_finish();
    if (hung_up_ || seen_.reset_seen) {
        read_what_is_left();
    }
    const bool both_finished = seen_.end_read && seen_.finish_acknowledged;
    if (both_finished || seen_.reset_seen || seen_.error != 0) {
        return end();
    }
    if (leaving_is_due()) {
        return leave();
    }
    finish_if_due();
    const bool uploading = upload_if_due();
    return more_to_read || uploading ? next_step::run_again : next_step::wait;
}

void peer::finish_if_due() {
    if (seen_.finished) {
        return;
    }
    bool due = false;
    switch (kind_.finishes) {
    case finishing::with_request:
        due = everything_written() || seen_.end_read;
        break;
    case finishing::after_echo:
        due = (everything_written() && seen_.read >= role_.amount) || seen_.end_read;
        break;
    case finishing::after_end:
        due = everything_written() && seen_.end_read;
        break;
    case finishing::never:
        break;
    }
    if (!due) {
        return;
    }
    if (::shutdown(fd_.get(), SHUT_WR) != 0) {
        next_look_ = clock::now(); // there was a reset; the next step reads it
        hung_up_ = true;
        return;
    }
    seen_.finished = true;
    seen_.ended = own_end::finished;
    seen_.ended_after_end = seen_.end_read;
    to_write_ = seen_.written;
    may_write_ = seen_.written;
    next_write_ = never;
    next_look_ = clock::now();
}

// The acknowledgement of the own FIN makes the difference between an end that was clean and one
// where the server's reset was still to come, so it is waited for before closing.
void peer::watch_own_finish() {
    if (!seen_.finished || seen_.finish_acknowledged) {
        return;
    }
    const int state = query_state(fd_.get()).state;
    if (state == TCP_CLOSE) {
        note_error(take_error(fd_.get()));
    }
    const bool acknowledged = state == TCP_FIN_WAIT2 || state == TCP_TIME_WAIT ||
                              (state == TCP_CLOSE && !seen_.reset_seen && seen_.error == 0);
    if (acknowledged) {
        seen_.finish_acknowledged = clock::now();
    }
    next_look_ = acknowledged ? never : clock::now() + 20ms;
}

bool peer::leaving_is_due() {
    if (kind_.leaves == leaving::no) {
        return false;
    }
    const bool read_enough = everything_written() && seen_.read >= role_.leave_after_read;
    if (leave_at_ == never && (read_enough || seen_.end_read)) {
        leave_at_ = clock::now() + role_.leave_delay;
    }
    return clock::now() >= leave_at_;
}

next_step peer::leave() {
    if (kind_.leaves == leaving::vanish) {
        stage_ = stage::vanished;
        seen_.ended = own_end::vanished;
        seen_.ended_after_end = seen_.end_read;
        stop_arrivals(fd_.get(), pass::nothing);
        return next_step::vanished;
    }
    // After FIN, or with nothing asked for, nothing more can come.
    if (seen_.end_read || kind_.request == request_kind::none) {
        return reset();
    }
    stage_ = stage::sealing;
    stop_arrivals(fd_.get(), pass::resets);
    return next_step::seal;
}

next_step peer::on_sealed() {
    seen_.sealed = true;
    note_error(take_error(fd_.get()));
    if (seen_.reset_seen) {
        read_what_is_left();
        return end();
    }
    return reset();
}

next_step peer::reset() {
    measure();
    seen_.ended = own_end::reset;
    seen_.ended_after_end = seen_.end_read;
    // Without anything unread, close(2) would send FIN.
    if (kind_.leaves != leaving::close_unread || seen_.queued == 0) {
        reset_on_close(fd_.get());
    }
    stage_ = stage::over;
    seen_.over = clock::now();
    fd_.close();
    return next_step::over;
}

next_step peer::end() {
    if (seen_.established) {
        measure();
    }
    stage_ = stage::over;
    seen_.over = clock::now();
    fd_.close();
    return next_step::over;
}

void peer::cut_short() {
    if (stage_ == stage::connecting) {
        if (on_connected() == next_step::over) {
            return;
        }
    }
    if (stage_ == stage::talking) {
        read_what_is_left();
        watch_own_finish();
        seen_.cut_short = true;
    }
    seen_.sealed = seen_.sealed || stage_ == stage::vanished;
    reset_on_close(fd_.get());
    [[maybe_unused]] const auto over = end();
}

} // namespace ringdown_demo
