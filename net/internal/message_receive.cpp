#include <ringdown/net/internal/message_receive.hpp>

#include <algorithm>
#include <cerrno>

namespace ringdown {

void mark_messages(system_calls& calls, int fd) noexcept {
    const int on = 1;
    calls.setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on);
}

int look_for_message(system_calls& calls, int fd) noexcept {
    msghdr message{};
    const int bytes = calls.recvmsg(fd, message, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    if (bytes == -EAGAIN) return 0;
    return bytes < 0 ? bytes : holds_message(bytes, message);
}

message_receive::message_receive(connection& connection, std::span<std::byte> into) noexcept
    : connection_operation(connection, "recvmsg"), into_(into) {}

bool message_receive::begin() {
    connection& connection = target();
    error_ = connection.refuses_receiving();
    if (error_) {
        stay();
        return false;
    }
    connection.note_in_use();
    connection.begin_receive(*this);
    piece_ = {into_.data(), into_.size()};
    message_.msg_iov = &piece_;
    message_.msg_iovlen = 1;
    if (sender_) {
        message_.msg_name = sender_->data();
        message_.msg_namelen = address::capacity;
    }
    launch([&](io_uring_sqe& sqe) {
        io_uring_prep_recvmsg(&sqe, connection.descriptor(), &message_, MSG_TRUNC);
    });
    return true;
}

void message_receive::took(std::size_t whole) noexcept {
    const std::size_t bytes = std::min(whole, into_.size());
    target().bytes().received += bytes;
    target().bytes().discarded += whole - bytes;
    received_ = {bytes, whole};
    if (sender_) sender_->resize(message_.msg_namelen);
}

void message_receive::settled(completion what) noexcept {
    connection& connection = target();
    connection.end_receive();
    const bool no_end = !connection.traits().has_peer;
    if (no_end ? what.result >= 0 : holds_message(what.result, message_)) {
        took(static_cast<std::size_t>(what.result));
    } else {
        if (what.result == 0)
            connection.note_nothing_received(what);
        else
            connection.note_error(what.result);
        const bool ended = what.result == 0 && connection.end_errno() == 0 &&
                           connection.life() < life_phase::aborting;
        if (ended) connection.note_end_told();
        error_ = ended ? make_error_code(errc::end_of_stream) : connection.error_of(what.result);
    }
    wake();
}

void message_receive::cancel(cancel_reason reason) noexcept {
    target().note_canceled(reason);
    request_cancel();
}

} // namespace ringdown
