#include <atomic>

#include <netinet/in.h>

#include <ringdown/runtime/uapi.hpp>

#include "sim_ring.hpp"

// What operations do. Whatever can be done in place is; the rest waits until its file wakes it.
namespace ringdown::sim {
namespace {

using phase = operation::phase;

bool is_send(const operation& which) {
    const unsigned code = which.sqe.opcode;
    return code == IORING_OP_SEND || code == IORING_OP_SENDMSG || code == IORING_OP_SEND_ZC ||
           code == IORING_OP_SENDMSG_ZC;
}

bool is_zero_copy(const operation& which) {
    return which.sqe.opcode == IORING_OP_SEND_ZC || which.sqe.opcode == IORING_OP_SENDMSG_ZC;
}

bool is_multishot(const operation& which) {
    if (which.sqe.opcode == IORING_OP_POLL_ADD) return which.sqe.len & IORING_POLL_ADD_MULTI;
    return which.sqe.opcode == IORING_OP_RECV && which.sqe.ioprio & IORING_RECV_MULTISHOT;
}

bool is_whole(const operation& which) {
    return (is_send(which) || which.sqe.opcode == IORING_OP_RECV) &&
           which.sqe.msg_flags & MSG_WAITALL;
}

bool needs_file(const operation& which) {
    const unsigned code = which.sqe.opcode;
    return code != IORING_OP_NOP && code != IORING_OP_ASYNC_CANCEL && code != IORING_OP_CLOSE;
}

std::size_t wanted_bytes(const operation& which) {
    std::size_t bytes = 0;
    for (const iovec& each : which.parts) bytes += each.iov_len;
    return bytes;
}

// A short transfer of everything fails its chain; a SHUTDOWN that fails does not.
bool fails_chain(const operation& which, int result) {
    if (which.sqe.opcode == IORING_OP_SHUTDOWN) return false;
    if (result < 0) return true;
    return is_whole(which) && static_cast<std::size_t>(result) < wanted_bytes(which);
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

unsigned wanted_events(const operation& which) {
    constexpr unsigned always = POLLERR | POLLHUP | POLLRDHUP;
    if (which.sqe.opcode == IORING_OP_POLL_ADD) return which.sqe.poll32_events | always;
    return always | (is_send(which) ? POLLOUT : POLLIN);
}

}  // namespace

// At submission: what the kernel copies, it copies now.
void ring::prepare(operation& which) {
    const io_uring_sqe& sqe = which.sqe;
    if (sqe.opcode == IORING_OP_SENDMSG || sqe.opcode == IORING_OP_SENDMSG_ZC) {
        const auto* message = reinterpret_cast<const msghdr*>(sqe.addr);
        which.parts.assign(message->msg_iov, message->msg_iov + message->msg_iovlen);
    } else if (is_send(which) || sqe.opcode == IORING_OP_RECV) {
        which.parts.push_back({reinterpret_cast<void*>(sqe.addr), sqe.len});
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
    }
    if (first.sqe.ioprio & IORING_RECVSEND_POLL_FIRST && first.sqe.opcode != IORING_OP_POLL_ADD)
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
    if (what) complete(which, *what);
    else if (which.cancel_lost) end_cancelled(which);
}

void ring::end_cancelled(operation& which) {
    complete(which, {which.done ? static_cast<int>(which.done) : -ECANCELED, 0});
}

void ring::append(const operation& which, completion what, bool last) {
    if (last && which.on) ++which.on->unposted;
    ready_.push_back({{which.sqe.user_data, what}, which.on, submitting_, last});
}

void ring::complete(operation& which, completion what) {
    touch(which);
    const bool failed = fails_chain(which, what.result) && which.stage != phase::notification;
    const bool skips = which.sqe.flags & IOSQE_CQE_SKIP_SUCCESS;
    const bool hard = which.sqe.flags & IOSQE_IO_HARDLINK;
    std::unique_ptr<operation> next = std::move(which.next);
    if (is_send(which) && which.on)  // the sends behind it may start
        for (operation* each : which.on->watchers()) each->woken |= is_send(*each);

    if (is_zero_copy(which) && which.on && which.stage != phase::notification &&
        what.result != -EINVAL) {
        append(which, {what.result, what.flags | IORING_CQE_F_MORE}, false);
        which.stage = phase::notification;
        which.woken = true;
        which.on->let_go(which, true);
    } else {
        if (skips && !failed) --names_in_use_[which.sqe.user_data];
        else append(which, what, true);
        const std::unique_ptr<operation> ended = std::move(operations_.extract(which.id).mapped());
        if (ended->on && ended->stage == phase::notification) ended->on->forget(*ended);
        else if (ended->on) ended->on->let_go(*ended, false);
    }
    if (!next) return;
    if (failed && !hard) fail_links(std::move(next), skips);
    else issue(std::move(next));
}

void ring::fail_links(std::unique_ptr<operation> chain, bool silent) {
    for (; chain; chain = std::move(chain->next)) {
        if (silent) --names_in_use_[chain->sqe.user_data];
        else append(*chain, {-ECANCELED, 0}, true);
    }
}

ring::outcome ring::run(operation& which) {
    const io_uring_sqe& sqe = which.sqe;
    switch (sqe.opcode) {
        case IORING_OP_NOP: return completion{0, 0};
        case IORING_OP_ASYNC_CANCEL: return completion{cancel(sqe.addr), 0};
        case IORING_OP_CLOSE: return completion{kernel_.close_descriptor(sqe.fd), 0};
        case IORING_OP_POLL_ADD: return run_poll(which);
        case IORING_OP_READ: {
            const int bytes = which.on->read(reinterpret_cast<void*>(sqe.addr), sqe.len);
            return bytes == -EAGAIN ? outcome() : completion{bytes, 0};
        }
        default: break;
    }
    auto* socket = dynamic_cast<tcp_socket*>(which.on);
    if (!socket) return completion{-ENOTSOCK, 0};
    if (is_send(which)) return run_send(which, *socket);
    switch (sqe.opcode) {
        case IORING_OP_RECV: return run_receive(which, *socket);
        case IORING_OP_SHUTDOWN: return run_shutdown(which);
        case IORING_OP_URING_CMD: return run_command(which, *socket);
        case IORING_OP_CONNECT:
            if (reinterpret_cast<const sockaddr*>(sqe.addr)->sa_family == AF_UNSPEC)
                return completion{socket->disconnect(), 0};
            break;
        default: break;
    }
    world_.violation("opcode " + std::to_string(sqe.opcode) + " is not simulated");
    return completion{-EINVAL, 0};
}

ring::outcome ring::run_send(operation& which, tcp_socket& to) {
    const unsigned flags = which.sqe.msg_flags;
    const bool more = flags & MSG_MORE;
    const auto result = [&] { return completion{static_cast<int>(which.done), 0}; };
    if (is_zero_copy(which) && kernel_.options_.missing.has(capability::zero_copy_send))
        return completion{-EINVAL, 0};
    std::size_t at_once = 0;
    for (const operation* each : to.watchers()) {
        if (!is_send(*each) || each->stage != phase::waiting) continue;
        ++at_once;
        if (each->id < which.id) return {};  // sends never interleave
    }
    to.truth.sends_at_once_max = std::max(to.truth.sends_at_once_max, at_once);
    if (wanted_bytes(which) == 0) return completion{to.send(nullptr, 0, more), 0};

    while (which.done < wanted_bytes(which)) {
        std::size_t skip = which.done;
        auto part = which.parts.begin();
        for (; skip >= part->iov_len; ++part) skip -= part->iov_len;
        const std::size_t left = part->iov_len - skip;
        const std::size_t some = world_.one_in(4) ? 1 + world_.below(left) : left;
        const int sent = to.send(static_cast<const char*>(part->iov_base) + skip, some, more);
        if (sent == -EAGAIN && (flags & MSG_DONTWAIT || (which.done && !is_whole(which))))
            return which.done ? result() : completion{-EAGAIN, 0};
        if (sent == -EAGAIN) return {};
        if (sent < 0) return which.done ? result() : completion{sent, 0};
        which.done += static_cast<std::size_t>(sent);
        which.stream_end = to.stream_end();
        if (static_cast<std::size_t>(sent) == left) continue;
        if (!is_whole(which)) return result();
        if (world_.one_in(2)) return which.woken = true, outcome();  // goes on some time later
    }
    return result();
}

ring::outcome ring::run_receive(operation& which, tcp_socket& from) {
    const io_uring_sqe& sqe = which.sqe;
    const bool multishot = is_multishot(which);
    const bool selects = sqe.flags & IOSQE_BUFFER_SELECT;
    const bool discard = sqe.msg_flags & MSG_TRUNC;
    if (multishot && kernel_.options_.missing.has(capability::multishot_recv))
        return completion{-EINVAL, 0};
    for (;;) {
        // The buffer is picked first: without one not even the end of the stream is seen.
        const io_uring_buf* buffer = selects ? next_buffer(sqe.buf_group) : nullptr;
        if (selects && !buffer) return completion{-ENOBUFS, 0};
        auto* to = reinterpret_cast<char*>(buffer ? buffer->addr : sqe.addr + which.done);
        std::size_t bytes = buffer ? buffer->len : sqe.len - which.done;
        if (buffer && sqe.len) bytes = std::min<std::size_t>(bytes, sqe.len);
        if (discard) bytes = sqe.len;  // each round of MSG_WAITALL asks for all of it again

        const int got = from.receive(to, bytes, discard, sqe.msg_flags & MSG_PEEK);
        unsigned flags = got >= 0 && from.nonempty() ? IORING_CQE_F_SOCK_NONEMPTY : 0U;
        if (got == -EAGAIN) return sqe.msg_flags & MSG_DONTWAIT ? outcome({-EAGAIN, 0}) : outcome();
        if (got < 0 && which.done == 0) return completion{got, 0};
        if (got <= 0) return completion{static_cast<int>(which.done), flags};
        if (buffer) {
            flags |= IORING_CQE_F_BUFFER | unsigned{buffer->bid} << IORING_CQE_BUFFER_SHIFT;
            take_buffer(sqe.buf_group);
        }
        if (multishot) {
            if (crowded() || world_.one_in(40)) return completion{got, flags};
            append(which, {got, flags | IORING_CQE_F_MORE}, false);
            if (world_.one_in(3)) return which.woken = true, outcome();
            continue;
        }
        which.done += static_cast<std::size_t>(got);
        const bool full = static_cast<std::size_t>(got) == bytes;
        if (!is_whole(which) || full) return completion{static_cast<int>(which.done), flags};
    }
}

ring::outcome ring::run_poll(operation& which) {
    const bool told = which.wakes == 1 && which.wake_key != 0;
    const unsigned mask = (told ? which.wake_key : which.on->poll_mask()) & wanted_events(which);
    const completion what{static_cast<int>(mask), 0};
    if (mask == 0) return {};
    if (!is_multishot(which) || crowded() || world_.one_in(40)) return what;
    append(which, {what.result, IORING_CQE_F_MORE}, false);
    return {};
}

ring::outcome ring::run_command(const operation& which, tcp_socket& on) {
    const io_uring_sqe& sqe = which.sqe;
    const auto command = static_cast<unsigned>(sqe.off);
    const auto level = static_cast<int>(sqe.addr), name = static_cast<int>(sqe.addr >> 32);
    const bool queue = command == uapi::socket_siocinq || command == uapi::socket_siocoutq;
    if (kernel_.options_.missing.has(queue ? capability::socket_queue_commands
                                           : capability::socket_option_commands))
        return completion{-EOPNOTSUPP, 0};
    auto* value = reinterpret_cast<void*>(sqe.addr3);
    auto bytes = static_cast<socklen_t>(sqe.splice_fd_in);
    switch (command) {
        case uapi::socket_siocinq: return completion{on.queued_in(), 0};
        case uapi::socket_siocoutq: return completion{on.queued_out(), 0};
        case uapi::socket_setsockopt: return completion{on.set_option(level, name, value, bytes), 0};
        case uapi::socket_getsockopt: {
            if (level != SOL_SOCKET) return completion{-EOPNOTSUPP, 0};
            const int error = on.get_option(level, name, value, bytes);
            return completion{error < 0 ? error : static_cast<int>(bytes), 0};
        }
        default: return completion{-EOPNOTSUPP, 0};
    }
}

// Always by a worker (kernel.md, fact 1), so some time after it was submitted.
ring::outcome ring::run_shutdown(operation& which) {
    which.stage = phase::worker;
    world_.after(std::chrono::microseconds(5) + world_.up_to(std::chrono::microseconds(120)),
                 [this, id = which.id] {
                     operation* working = find(id);
                     if (!working) return;
                     auto* socket = static_cast<tcp_socket*>(working->on);
                     complete(*working, {socket->shutdown(static_cast<int>(working->sqe.len)), 0});
                 });
    return {};
}

int ring::cancel(std::uint64_t user_data) {
    for (auto& [id, each] : operations_) {
        if (each->sqe.user_data != user_data || each->stage == phase::notification ||
            each->sqe.opcode == IORING_OP_ASYNC_CANCEL || each->canceled)
            continue;
        if (each->stage == phase::worker) return -EALREADY;
        each->woken = true;
        const bool has_result = each->on && each->on->poll_mask() & wanted_events(*each);
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

const io_uring_buf* ring::next_buffer(unsigned number) {
    const auto found = groups_.find(number);
    if (found == groups_.end()) return nullptr;
    buffer_group& group = found->second;
    const unsigned short tail =
        std::atomic_ref(group.memory->tail).load(std::memory_order_acquire);
    const unsigned mask = group.entries - 1;
    for (; group.seen != tail; ++group.seen)
        if (!group.available.insert(group.memory->bufs[group.seen & mask].bid).second)
            world_.violation("a buffer was provided twice");
    return group.head == tail ? nullptr : &group.memory->bufs[group.head & mask];
}

void ring::take_buffer(unsigned number) {
    buffer_group& group = groups_.at(number);
    group.available.erase(group.memory->bufs[group.head & (group.entries - 1)].bid);
    ++group.head;
}

}  // namespace ringdown::sim
