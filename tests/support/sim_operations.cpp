#include <netinet/in.h>

#include "sim_ring.hpp"

// The life of operations: whatever can be done in place is, the rest waits until its file wakes it.
namespace ringdown::sim {
using phase = operation::phase;

bool operation::is_send() const {
    return sqe.opcode == IORING_OP_SEND || sqe.opcode == IORING_OP_SENDMSG || is_zero_copy();
}

bool operation::is_zero_copy() const {
    return sqe.opcode == IORING_OP_SEND_ZC || sqe.opcode == IORING_OP_SENDMSG_ZC;
}

bool operation::is_multishot() const {
    if (sqe.opcode == IORING_OP_POLL_ADD) return sqe.len & IORING_POLL_ADD_MULTI;
    if (sqe.opcode == IORING_OP_ACCEPT) return sqe.ioprio & IORING_ACCEPT_MULTISHOT;
    return sqe.opcode == IORING_OP_RECV && sqe.ioprio & IORING_RECV_MULTISHOT;
}

bool operation::is_whole() const {
    return (is_send() || sqe.opcode == IORING_OP_RECV) && sqe.msg_flags & MSG_WAITALL;
}

std::size_t operation::wanted_bytes() const {
    std::size_t bytes = 0;
    for (const iovec& each : parts)
        bytes += each.iov_len;
    return bytes;
}

unsigned operation::wanted_events() const {
    constexpr unsigned always = POLLERR | POLLHUP | POLLRDHUP;
    if (sqe.opcode == IORING_OP_POLL_ADD) return sqe.poll32_events | always;
    return always | (is_send() ? POLLOUT : POLLIN);
}

namespace {

bool needs_file(const operation& which) {
    const unsigned code = which.sqe.opcode;
    return code != IORING_OP_NOP && code != IORING_OP_ASYNC_CANCEL && code != IORING_OP_CLOSE &&
           code != IORING_OP_TIMEOUT && code != IORING_OP_TIMEOUT_REMOVE;
}

// A short transfer of everything fails its chain; a SHUTDOWN that fails does not.
bool fails_chain(const operation& which, int result) {
    if (which.stage == phase::notification || which.sqe.opcode == IORING_OP_SHUTDOWN) return false;
    if (result < 0) return true;
    return which.is_whole() && static_cast<std::size_t>(result) < which.wanted_bytes();
}

// The kernel may use a buffer until the last completion: one that is gone shows under ASan.
void touch(const operation& which) {
    for (const iovec& each : which.parts) {
        if (!each.iov_len || !each.iov_base) continue;
        const volatile char* bytes = static_cast<char*>(each.iov_base);
        static_cast<void>(bytes[0]);
        static_cast<void>(bytes[each.iov_len - 1]);
    }
}

// All timeouts count from their submission, as far as the clock goes.
time_point due_at(time_point now, std::uint64_t address) {
    const auto* time = reinterpret_cast<const __kernel_timespec*>(address);
    return later(now, std::chrono::seconds(time->tv_sec) + std::chrono::nanoseconds(time->tv_nsec));
}

} // namespace

// At submission: what the kernel copies, it copies now.
void ring::prepare(operation& which) {
    const io_uring_sqe& sqe = which.sqe;
    if (sqe.opcode == IORING_OP_SENDMSG || sqe.opcode == IORING_OP_SENDMSG_ZC) {
        const auto* message = reinterpret_cast<const msghdr*>(sqe.addr);
        which.parts.assign(message->msg_iov, message->msg_iov + message->msg_iovlen);
    } else if (which.is_send() || sqe.opcode == IORING_OP_RECV) {
        which.parts.push_back({reinterpret_cast<void*>(sqe.addr), sqe.len});
    } else if (sqe.opcode == IORING_OP_TIMEOUT) {
        which.due_at = due_at(world_.now(), sqe.addr);
    } else if (sqe.opcode == IORING_OP_TIMEOUT_REMOVE) {
        which.due_at = due_at(world_.now(), sqe.off);
    }
    const bool nameless = sqe.user_data == 0 || sqe.opcode == IORING_OP_ASYNC_CANCEL;
    if (names_in_use_[sqe.user_data]++ > 0 && !nameless)
        world_.violation("two operations are in flight under one user data (opcode " +
                         std::to_string(sqe.opcode) + ")");
}

operation* ring::find(std::uint64_t id) {
    const auto found = operations_.find(id);
    return found == operations_.end() ? nullptr : found->second.get();
}

void ring::issue(std::unique_ptr<operation> chain) {
    operation& first = *chain;
    first.id = ++next_id_;
    operations_.emplace(first.id, std::move(chain));
    if (needs_file(first)) {
        first.on = kernel_.find(first.sqe.fd);
        if (!first.on) return complete(first, {-EBADF, 0});
        first.on->hold(first);
        auto* socket = dynamic_cast<tcp_socket*>(first.on);
        if (socket && first.is_send()) ++socket->truth.sends;
    }
    const bool transfers = first.is_send() || first.sqe.opcode == IORING_OP_RECV;
    if (transfers && first.sqe.ioprio & IORING_RECVSEND_POLL_FIRST)
        first.woken = true;
    else
        attempt(first);
}

void ring::attempt(operation& which) {
    which.woken = false;
    if (which.stage == phase::notification) return end_notification(which);
    if (which.canceled) return end_cancelled(which);
    const outcome what = run(which);
    which.wakes = 0;
    if (what)
        complete(which, *what);
    else if (which.cancel_lost)
        end_cancelled(which);
}

void ring::end_cancelled(operation& which) {
    complete(which, {which.done ? static_cast<int>(which.done) : -ECANCELED, 0});
}

void ring::append(const operation& which, completion what, bool last) {
    if (last && which.on) ++which.on->unposted;
    const bool silent = which.sqe.flags & IOSQE_CQE_SKIP_SUCCESS && which.sqe.user_data != 0;
    const bool prompt = silent && submitting_;
    ready_.push_back({{which.sqe.user_data, what}, which.on, submitting_, prompt, last});
}

void ring::complete(operation& which, completion what) {
    touch(which);
    const bool failed = fails_chain(which, what.result);
    const bool skips = which.sqe.flags & IOSQE_CQE_SKIP_SUCCESS;
    const bool hard = which.sqe.flags & IOSQE_IO_HARDLINK;
    std::unique_ptr<operation> next = std::move(which.next);
    if (which.is_send() && which.on) // the sends behind it may start
        for (operation* each : which.on->watchers())
            each->woken |= each->is_send();

    if (which.is_zero_copy() && which.on && which.stage != phase::notification &&
        what.result != -EINVAL) {
        append(which, {what.result, what.flags | IORING_CQE_F_MORE}, false);
        which.stage = phase::notification;
        which.woken = true;
        which.on->let_go(which, true);
    } else {
        if (skips && !failed)
            --names_in_use_[which.sqe.user_data];
        else
            append(which, what, true);
        const std::unique_ptr<operation> ended = std::move(operations_.extract(which.id).mapped());
        if (ended->on && ended->stage == phase::notification)
            ended->on->forget(*ended);
        else if (ended->on)
            ended->on->let_go(*ended, false);
    }
    if (!next) return;
    if (failed && !hard)
        fail_links(std::move(next), skips);
    else
        issue(std::move(next));
}

void ring::fail_links(std::unique_ptr<operation> chain, bool silent) {
    for (; chain; chain = std::move(chain->next)) {
        if (silent)
            --names_in_use_[chain->sqe.user_data];
        else
            append(*chain, {-ECANCELED, 0}, true);
    }
}

ring::outcome ring::run(operation& which) {
    const io_uring_sqe& sqe = which.sqe;
    switch (sqe.opcode) {
    case IORING_OP_NOP:
        return completion{0, 0};
    case IORING_OP_ASYNC_CANCEL:
        return completion{cancel(sqe.addr), 0};
    case IORING_OP_CLOSE:
        return completion{kernel_.close_descriptor(sqe.fd, true), 0};
    case IORING_OP_TIMEOUT:
        return run_timeout(which);
    case IORING_OP_TIMEOUT_REMOVE:
        return completion{move_timeout(sqe.addr, which.due_at), 0};
    case IORING_OP_POLL_ADD:
        return run_poll(which);
    case IORING_OP_READ: {
        const int bytes = which.on->read(reinterpret_cast<void*>(sqe.addr), sqe.len);
        return bytes == -EAGAIN ? outcome() : completion{bytes, 0};
    }
    default:
        break;
    }
    auto* socket = dynamic_cast<tcp_socket*>(which.on);
    if (!socket) return completion{-ENOTSOCK, 0};
    if (which.is_send()) return run_send(which, *socket);
    switch (sqe.opcode) {
    case IORING_OP_RECV:
        return run_receive(which, *socket);
    case IORING_OP_ACCEPT:
        return run_accept(which, *socket);
    case IORING_OP_SHUTDOWN:
        return run_shutdown(which);
    case IORING_OP_URING_CMD:
        return run_command(which, *socket);
    case IORING_OP_CONNECT:
        if (reinterpret_cast<const sockaddr*>(sqe.addr)->sa_family == AF_UNSPEC)
            return completion{socket->disconnect(), 0};
        break;
    default:
        break;
    }
    world_.violation("opcode " + std::to_string(sqe.opcode) + " is not simulated");
    return completion{-EINVAL, 0};
}

ring::outcome ring::run_timeout(operation& which) {
    if (world_.now() >= which.due_at) return completion{-ETIME, 0};
    world_.at(which.due_at, [this, id = which.id] {
        if (operation* due = find(id)) due->woken = true;
    });
    return {};
}

int ring::move_timeout(std::uint64_t user_data, time_point to) {
    for (auto& [id, each] : operations_) {
        if (each->sqe.user_data != user_data || each->sqe.opcode != IORING_OP_TIMEOUT) continue;
        if (each->canceled || world_.now() >= each->due_at) return -EALREADY;
        each->due_at = to;
        each->woken = true; // which looks at the time again
        return 0;
    }
    return -ENOENT;
}

int ring::cancel(std::uint64_t user_data) {
    for (auto& [id, each] : operations_) {
        if (each->sqe.user_data != user_data || each->stage == phase::notification ||
            each->sqe.opcode == IORING_OP_ASYNC_CANCEL || each->canceled)
            continue;
        if (each->stage == phase::worker) return -EALREADY;
        if (each->sqe.opcode == IORING_OP_ACCEPT && kernel_.options_.missed_cancellations > 0) {
            --kernel_.options_.missed_cancellations;
            return -ENOENT;
        }
        each->woken = true;
        const bool has_result = each->on && each->on->poll_mask() & each->wanted_events();
        each->cancel_lost = world_.one_in(has_result ? 2 : 8);
        if (each->cancel_lost) return -EALREADY;
        each->canceled = true;
        each->held_until = world_.now() + kernel_.options_.late_cancel;
        world_.at(each->held_until, [] {});
        return 0;
    }
    return -ENOENT;
}

void ring::end_notification(operation& which) {
    auto& socket = *static_cast<tcp_socket*>(which.on);
    if (socket.needs(which.stream_end)) return;
    std::string_view queued = socket.stream().substr(which.stream_end - which.done, which.done);
    for (const iovec& part : which.parts) {
        const std::size_t bytes = std::min(part.iov_len, queued.size());
        if (queued.substr(0, bytes) != std::string_view(static_cast<char*>(part.iov_base), bytes))
            world_.violation("a zero-copy buffer was changed before its notification");
        queued.remove_prefix(bytes);
    }
    complete(which, {0, IORING_CQE_F_NOTIF});
}

} // namespace ringdown::sim
