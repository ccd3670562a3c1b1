#include <ringdown/net/send.hpp>

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>

#include <ringdown/runtime/loop.hpp>

namespace ringdown {
namespace {

// One system call moves less than 2 GiB; larger sends go in several.
constexpr std::size_t bytes_at_once = std::size_t{1} << 30;

std::size_t total(std::span<const iovec> parts) noexcept {
    std::size_t bytes = 0;
    for (const iovec& part : parts) bytes += part.iov_len;
    return bytes;
}

}  // namespace

send_operation::send_operation(connection& on, std::span<const std::byte> data, form how) noexcept
    : queued_operation(on, "send"),
      waiting(on.on()),
      data_(data),
      total_(data.size()),
      form_(how) {
    if (form_ == form::zero_copy && !on.on().has(capability::zero_copy_send)) form_ = form::plain;
}

send_operation::send_operation(connection& on, std::span<const iovec> parts) noexcept
    : queued_operation(on, "sendmsg"),
      waiting(on.on()),
      total_(total(parts)),
      form_(form::plain) {
    message_.msg_iov = const_cast<iovec*>(parts.data());
    message_.msg_iovlen = parts.size();
}

// False when the answer is there already.
bool send_operation::hand_over() {
    connection& to = target();
    outcome_.error = to.refuses_sending();
    if (!outcome_.error && message_.msg_iov && total_ > bytes_at_once)
        outcome_.error = std::make_error_code(std::errc::message_size);
    if (outcome_.error || total_ == 0) {
        if (!outcome_.error && form_ == form::last) to.request_fin();
        list_hook<waiting>::unlink();
        return false;
    }
    to.note_in_use();
    to.bytes().handed += total_;
    // FIN is queued right behind, so nothing can come between, and leaves in the same turn.
    to.sends().push(*this);
    if (form_ == form::last) to.request_fin();
    return true;
}

void send_operation::prepare(io_uring_sqe& sqe) noexcept {
    // MSG_WAITALL: the kernel goes on until everything is accepted. MSG_MORE keeps the last
    // segment back, so that FIN travels on it.
    const int flags = MSG_NOSIGNAL | MSG_WAITALL | (form_ == form::last ? MSG_MORE : 0);
    const int fd = target().descriptor();
    if (message_.msg_iov) {
        io_uring_prep_sendmsg(&sqe, fd, &message_, static_cast<unsigned>(flags));
        return;
    }
    const auto rest = data_.subspan(outcome_.bytes);
    const std::size_t bytes = std::min(rest.size(), bytes_at_once);
    if (form_ == form::zero_copy)
        io_uring_prep_send_zc(&sqe, fd, rest.data(), bytes, flags, 0);
    else
        io_uring_prep_send(&sqe, fd, rest.data(), bytes, flags);
}

void send_operation::launch_rest() {
    launch([this](io_uring_sqe& sqe) { prepare(sqe); });
}

void send_operation::settled(completion what) noexcept {
    if (!(what.flags & IORING_CQE_F_NOTIF)) advance(what.result);
    // The buffer is the caller's again only when no completion, and no notification, is to come.
    if (concluded_ && !in_flight()) wake();
}

void send_operation::advance(int result) noexcept {
    connection& to = target();
    if (result < 0) {
        to.note_error(result);
        conclude(to.error_of(result));
        return;
    }
    outcome_.bytes += static_cast<std::size_t>(result);
    to.bytes().sent += static_cast<std::size_t>(result);
    if (outcome_.bytes == total_) {
        conclude({});
    } else if (canceled_) {
        conclude(canceled());
    } else if (message_.msg_iov || in_flight()) {
        // A short vectored or zero-copy send was stopped by an error that the next operation tells.
        conclude(to.error_of(-EPIPE));
    } else {
        launch_rest();
    }
}

void send_operation::conclude(std::error_code error) noexcept {
    outcome_.error = error;
    concluded_ = true;
    target().sends().done(!error);
}

void send_operation::refuse() noexcept {
    outcome_.error = canceled();
    wake();
}

void send_operation::cancel(cancel_reason reason) noexcept {
    target().note_canceled(reason);
    canceled_ = true;
    if (in_flight()) {
        request_cancel();
    } else if (list_hook<send_queue>::linked()) {
        list_hook<send_queue>::unlink();
        refuse();
    }
}

}  // namespace ringdown
