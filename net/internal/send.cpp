#include <ringdown/net/internal/send.hpp>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include <sys/socket.h>

#include <ringdown/net/internal/layered.hpp>
#include <ringdown/net/internal/tcp_state.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown {
namespace {

// One system call moves less than 2 GiB; larger sends go in several.
constexpr std::size_t bytes_at_once = std::size_t{1} << 30;
// So much of a last answer goes in place.
constexpr std::size_t in_place_max = 64 * 1024;

std::size_t total(std::span<const iovec> parts) noexcept {
    std::size_t bytes = 0;
    for (const iovec& part : parts)
        bytes += part.iov_len;
    return bytes;
}

// A zero-copy send pins its buffer, which counts against the user's limit on locked memory (ENOMEM,
// ENOBUFS); and not every protocol that looks like TCP has it. What a plain send would be refused
// for as well, it tells itself.
bool lacks_zero_copy(int result) noexcept {
    return result == -ENOMEM || result == -ENOBUFS || result == -EOPNOTSUPP || result == -EPERM;
}

} // namespace

// EPIPE tells of a peer that reset after it had finished as well.
bool refused_by_us(connection& connection, int result) noexcept {
    return result == -EPIPE && connection.traits().counts_acknowledgements &&
           connection.life() < life_phase::aborting &&
           !tcp_info_of(connection.on().calls(), connection.descriptor()).gone();
}

send_operation::send_operation(connection& connection, std::span<const std::byte> data,
                               form how) noexcept
    : queued_operation(connection, "send"), data_(data), form_(how) {
    const bool possible = connection.traits().sends_zero_copy && !connection.own_layer() &&
                          connection.on().has(capability::zero_copy_send);
    if (form_ == form::zero_copy && !possible) form_ = form::plain;
}

send_vectored_operation::send_vectored_operation(connection& connection,
                                                 std::span<const iovec> parts) noexcept
    : send_operation(connection, "sendmsg", total(parts)), parts_(parts) {}

// False when the answer is there already.
bool send_operation::begin() {
    connection& connection = target();
    const bool message = form_ == form::packet;
    const std::error_code refusal = connection.refuses_sending();
    if (refusal || (data_.empty() && !message)) {
        error_ = refusal;
        if (!refusal && form_ == form::last && !connection.request_fin()) error_ = canceled();
        stay();
        return false;
    }
    connection.note_in_use();
    if (form_ == form::last && sent_at_once()) {
        stay();
        return false;
    }
    continues_ = connection.note_continued();
    enqueue();
    return true;
}

// FIN goes in place as well, so an answer that the kernel takes whole leaves with it: one call
// instead of an operation, its completion and a turn. What the kernel does not take goes by the
// ring; an error is told only once, so it is taken in here.
bool send_operation::sent_at_once() noexcept {
    connection& connection = target();
    const bool possible = connection.sends().empty() && !connection.cut_short() &&
                          !connection.own_layer() && data_.size() <= in_place_max &&
                          connection.on().fin() == fin_method::system_call;
    if (!possible) return false;
    const int result =
        connection.on().calls().send(connection.descriptor(), data_.data(), data_.size(),
                                     MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
    if (result == -EAGAIN || result == -EINTR || result == -ENOBUFS) return false;
    if (result < 0) {
        connection.bytes().handed += data_.size();
        if (!refused_by_us(connection, result)) connection.note_error(result);
        error_ = connection.error_of(result);
        note_failure();
        connection.note_change();
        return true;
    }
    bytes_ = static_cast<std::size_t>(result);
    connection.bytes().sent += bytes_;
    if (bytes_ < data_.size()) return false;
    connection.bytes().handed += bytes_;
    connection.request_fin();
    return true;
}

void send_operation::enqueue() {
    connection& connection = target();
    connection.bytes().handed += data_.size();
    // FIN is queued right behind, so nothing can come between, and leaves in the same turn.
    connection.sends().push(*this);
    if (form_ == form::last && !error_) connection.request_fin();
}

// Nobody waits for what the library itself says.
void send_operation::tell() noexcept {
    if (suspended()) wake();
}

void send_operation::prepare(io_uring_sqe& sqe) noexcept { prepare_piece(sqe, rest()); }

void send_vectored_operation::prepare(io_uring_sqe& sqe) noexcept {
    if (part_bytes_ == 0 && parts_.size() > 1) {
        message_.msg_iov = const_cast<iovec*>(parts_.data());
        message_.msg_iovlen = std::min<std::size_t>(parts_.size(), IOV_MAX);
        io_uring_prep_sendmsg(&sqe, target().descriptor(), &message_, MSG_NOSIGNAL);
        return;
    }
    prepare_piece(sqe, rest());
}

std::span<const std::byte> send_vectored_operation::rest() const noexcept {
    const iovec& first = parts_.front();
    const std::span part(static_cast<const std::byte*>(first.iov_base), first.iov_len);
    return part.subspan(part_bytes_);
}

void send_operation::prepare_piece(io_uring_sqe& sqe, std::span<const std::byte> piece) noexcept {
    const int fd = target().descriptor();
    const std::size_t bytes = std::min(piece.size(), bytes_at_once);
    // The kernel does not go on by itself (MSG_WAITALL): it would swallow the error behind a
    // partial count. Only a zero-copy send must, since each of its parts has a notification.
    if (form_ == form::zero_copy)
        io_uring_prep_send_zc(&sqe, fd, piece.data(), bytes, MSG_NOSIGNAL | MSG_WAITALL, 0);
    else
        // MSG_MORE keeps the last segment back, so that FIN travels on it.
        io_uring_prep_send(&sqe, fd, piece.data(), bytes,
                           MSG_NOSIGNAL | (form_ == form::last ? MSG_MORE : 0));
}

void send_operation::start() noexcept {
    if (layered* beneath = target().own_layer()) [[unlikely]]
        give(*beneath);
    else
        launch_rest();
}

// What a layer was given is on its way, whatever becomes of the rest.
void send_operation::give(layered& beneath) noexcept {
    std::size_t room = beneath.takes_at_once();
    while (room > 0 && bytes_ < data_.size()) {
        const std::span part = rest().first(std::min(rest().size(), room));
        if (!beneath.encode(part)) break;
        accepted(part.size());
        room -= part.size();
    }
    beneath.send_for(*this);
}

void send_operation::layer_sent() noexcept {
    if (bytes_ < data_.size()) {
        give(*target().own_layer());
        return;
    }
    conclude({});
    tell();
}

void send_operation::layer_failed(std::error_code why) noexcept {
    const auto lost = static_cast<std::size_t>(target().own_layer()->plain_unsent());
    bytes_ -= std::min(bytes_, lost);
    conclude(bytes_ == data_.size() ? std::error_code{} : why);
    tell();
}

void send_operation::launch_rest() {
    awaits_notification_ = false;
    launch([this](io_uring_sqe& sqe) { prepare(sqe); });
}

void send_operation::settled(completion what) noexcept {
    awaits_notification_ = in_flight(); // it has been answered, and more is to come
    if (!(what.flags & IORING_CQE_F_NOTIF))
        advance(what.result);
    else if (resume_after_notification_)
        go_on();
    // The buffer is the caller's again only when no completion, and no notification, is to come.
    if (concluded_ && !in_flight()) tell();
}

void send_vectored_operation::accepted(std::size_t bytes) noexcept {
    send_operation::accepted(bytes);
    for (part_bytes_ += bytes; !parts_.empty() && part_bytes_ >= parts_.front().iov_len;) {
        part_bytes_ -= parts_.front().iov_len;
        parts_ = parts_.subspan(1);
    }
}

void send_operation::advance(int result) noexcept {
    connection& connection = target();
    if (form_ == form::zero_copy && lacks_zero_copy(result)) {
        copies_ = true;
        go_on_when_released();
        return;
    }
    if (result < 0) {
        if (!refused_by_us(connection, result)) connection.note_error(result);
        conclude(connection.error_of(result));
        return;
    }
    connection.bytes().sent += static_cast<std::size_t>(result);
    accepted(static_cast<std::size_t>(result));
    if (bytes_ == data_.size()) {
        conclude({});
    } else {
        go_on_when_released();
    }
}

// A zero-copy send goes on when the kernel has let go of its first part.
void send_operation::go_on_when_released() noexcept {
    if (in_flight())
        resume_after_notification_ = true;
    else
        go_on();
}

void send_operation::go_on() noexcept {
    connection& connection = target();
    resume_after_notification_ = false;
    if (copies_) form_ = form::plain;
    if (canceled_)
        conclude(canceled());
    else if (connection.sends_stopped())
        conclude(connection.error_of(connection.end_errno() != 0 ? -connection.end_errno()
                                                                 : -ECANCELED));
    else
        launch_rest();
}

void send_operation::conclude(std::error_code error) noexcept {
    error_ = error;
    concluded_ = true;
    if (error) note_failure();
    target().sends().done(!error);
}

// While the connection is open, the application may send the rest again, because it was the
// application that cancelled this send.
void send_operation::note_failure() noexcept {
    connection& connection = target();
    const bool given_back = !connection.sealed(allowance::answers) && connection.end_errno() == 0;
    if (given_back && bytes_ > 0) {
        connection.note_cut(data_.size() - bytes_);
    } else if (given_back) {
        connection.bytes().handed -= data_.size();
        if (continues_) connection.note_not_continued();
    }
}

void send_operation::refuse() noexcept {
    error_ = canceled();
    note_failure();
    tell();
}

void send_operation::cancel(cancel_reason reason) noexcept {
    target().note_canceled(reason);
    canceled_ = true;
    if (in_flight()) {
        request_cancel();
    } else if (linked()) {
        target().withdraw(*this);
        refuse();
    } else if (layered* beneath = target().own_layer(); beneath && !concluded_) {
        beneath->forget(*this);
        const bool given = bytes_ == data_.size();
        conclude(given ? std::error_code{} : canceled());
        tell();
    }
}

} // namespace ringdown
