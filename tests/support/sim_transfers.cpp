#include <atomic>

#include <ringdown/runtime/internal/uapi.hpp>

#include "sim_ring.hpp"

// What the operations on sockets do each time that they are tried; no answer: they have to wait.
namespace ringdown::sim {

ring::outcome ring::run_send(operation& which, tcp_socket& to) {
    const unsigned flags = which.sqe.msg_flags;
    const bool more = flags & MSG_MORE;
    const auto result = [&] { return completion{static_cast<int>(which.done), 0}; };
    if (which.is_zero_copy() && kernel_.options_.missing.has(capability::zero_copy_send))
        return completion{-EINVAL, 0};
    std::size_t at_once = 0;
    for (const operation* each : to.watchers()) {
        if (!each->is_send() || each->stage != operation::phase::waiting) continue;
        ++at_once;
        if (each->id < which.id) return {}; // sends never interleave
    }
    to.truth.sends_at_once_max = std::max(to.truth.sends_at_once_max, at_once);
    if (which.wanted_bytes() == 0) return completion{to.send(nullptr, 0, more), 0};

    while (which.done < which.wanted_bytes()) {
        std::size_t skip = which.done;
        auto part = which.parts.begin();
        for (; skip >= part->iov_len; ++part)
            skip -= part->iov_len;
        const std::size_t left = part->iov_len - skip;
        const std::size_t some = world_.one_in(4) ? 1 + world_.below(left) : left;
        const int sent = to.send(static_cast<const char*>(part->iov_base) + skip, some, more);
        if (sent == -EAGAIN && (flags & MSG_DONTWAIT || (which.done && !which.is_whole())))
            return which.done ? result() : completion{-EAGAIN, 0};
        if (sent == -EAGAIN) return {};
        if (sent < 0) return which.done ? result() : completion{sent, 0};
        which.done += static_cast<std::size_t>(sent);
        which.stream_end = to.stream_end();
        if (static_cast<std::size_t>(sent) == left) continue;
        if (!which.is_whole()) return result();
        if (world_.one_in(2)) return which.woken = true, outcome(); // goes on some time later
    }
    return result();
}

ring::outcome ring::run_receive(operation& which, tcp_socket& from) {
    const io_uring_sqe& sqe = which.sqe;
    const bool multishot = which.is_multishot();
    const bool selects = sqe.flags & IOSQE_BUFFER_SELECT;
    const bool discard = sqe.msg_flags & MSG_TRUNC;
    if (multishot && kernel_.options_.missing.has(capability::multishot_recv))
        return completion{-EINVAL, 0};
    if (discard && kernel_.options_.discard_error)
        return completion{-kernel_.options_.discard_error, 0};
    for (;;) {
        // The buffer is picked first: without one not even the end of the stream is seen.
        const io_uring_buf* buffer = selects ? next_buffer(sqe.buf_group) : nullptr;
        if (selects && !buffer) return completion{-ENOBUFS, 0};
        auto* to = reinterpret_cast<char*>(buffer ? buffer->addr : sqe.addr + which.done);
        std::size_t bytes = buffer ? buffer->len : sqe.len - which.done;
        if (buffer && sqe.len) bytes = std::min<std::size_t>(bytes, sqe.len);
        if (discard) bytes = sqe.len; // each round of MSG_WAITALL asks for all of it again

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
        if (!which.is_whole() || full) return completion{static_cast<int>(which.done), flags};
    }
}

ring::outcome ring::run_poll(operation& which) {
    const bool told = which.wakes == 1 && which.wake_key != 0;
    const unsigned mask = (told ? which.wake_key : which.on->poll_mask()) & which.wanted_events();
    const completion what{static_cast<int>(mask), 0};
    if (mask == 0) return {};
    if (!which.is_multishot() || crowded() || world_.one_in(40)) return what;
    append(which, {what.result, IORING_CQE_F_MORE}, false);
    return {};
}

ring::outcome ring::run_accept(operation& which, tcp_socket& from) {
    for (;;) {
        const int fd = kernel_.accept_from(from);
        if (fd == -EAGAIN) return {};
        if (fd < 0 || !which.is_multishot() || crowded()) return completion{fd, 0};
        append(which, {fd, IORING_CQE_F_MORE}, false);
    }
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
    case uapi::socket_siocinq:
        return completion{on.queued_in(), 0};
    case uapi::socket_siocoutq:
        return completion{on.queued_out(), 0};
    case uapi::socket_setsockopt:
        return completion{on.set_option(level, name, value, bytes), 0};
    case uapi::socket_getsockopt: {
        if (level != SOL_SOCKET) return completion{-EOPNOTSUPP, 0};
        const int error = on.get_option(level, name, value, bytes);
        return completion{error < 0 ? error : static_cast<int>(bytes), 0};
    }
    default:
        return completion{-EOPNOTSUPP, 0};
    }
}

// Always by a worker (kernel.md, fact 1), so some time after it was submitted.
ring::outcome ring::run_shutdown(operation& which) {
    which.stage = operation::phase::worker;
    world_.after(std::chrono::microseconds(5) + world_.up_to(std::chrono::microseconds(120)),
                 [this, id = which.id] {
                     operation* working = find(id);
                     if (!working) return;
                     auto* socket = static_cast<tcp_socket*>(working->on);
                     complete(*working, {socket->shutdown(static_cast<int>(working->sqe.len)), 0});
                 });
    return {};
}

const io_uring_buf* ring::next_buffer(unsigned number) {
    const auto found = groups_.find(number);
    if (found == groups_.end()) return nullptr;
    buffer_group& group = found->second;
    const unsigned short tail = std::atomic_ref(group.memory->tail).load(std::memory_order_acquire);
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

} // namespace ringdown::sim
