#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <ringdown/net/internal/peer_name.hpp>
#include <ringdown/net/internal/tcp_state.hpp>
#include <ringdown/net/socket_options.hpp>
#include <ringdown/net/stream.hpp>

// Which sockets are taken over, and what the kernel has counted on them before.

namespace ringdown {
namespace {

std::unexpected<std::error_code> not_connected() {
    return std::unexpected(std::make_error_code(std::errc::not_connected));
}

/// What TCP_INFO told, and what was outstanding at that very moment; absent when nobody knows.
struct standing {
    tcp_snapshot info;
    std::optional<std::uint64_t> outstanding;
};

// These are two questions, and an acknowledgement between them would count twice. So the second is
// believed only if nothing has changed from before to behind it: counts and states only ever grow.
standing standing_of(system_calls& calls, int fd) noexcept {
    constexpr int tries = 64; // acknowledgements come every few microseconds at most
    standing found{tcp_info_of(calls, fd), {}};
    for (int i = 0; i < tries && found.info.counts_queues(); ++i) {
        int outstanding = 0;
        if (calls.ioctl(fd, SIOCOUTQ, outstanding) < 0) break;
        const tcp_snapshot before = std::exchange(found.info, tcp_info_of(calls, fd));
        if (before.state != found.info.state ||
            before.acknowledged_bytes != found.info.acknowledged_bytes)
            continue;
        found.outstanding = static_cast<std::uint64_t>(outstanding);
        break;
    }
    return found;
}

// What the kernel's count of acknowledged bytes will be when nothing is outstanding of what the
// application sent by itself. Its FIN is not counted in: it is the one that an ending waits for.
std::uint64_t acknowledged_before(const standing& at) noexcept {
    const tcp_snapshot& info = at.info;
    // Too much means that less is known to have arrived later, never more. It is exact while
    // nothing has been acknowledged or sent again, as on a connection just accepted.
    if (!at.outstanding) return info.acknowledged_bytes + info.payload_bytes + info.unsent_bytes;
    const std::uint64_t all = info.acknowledged_bytes + *at.outstanding;
    const bool counts_fin = info.finished() || info.gone();
    return counts_fin && all > 0 ? all - 1 : all;
}

// Whether a closed TCP socket has the peer's FIN behind all its data, or behind what was read. FIN
// counts as one byte more than there are to read. Source: TCP_INQ in tcp(7) (Linux 4.18).
bool holds_fin(system_calls& calls, int fd) noexcept {
    int asked_before = 0;
    const int on = 1;
    option_of(calls, fd, IPPROTO_TCP, TCP_INQ, asked_before);
    if (calls.setsockopt(fd, IPPROTO_TCP, TCP_INQ, &on, sizeof on) < 0) return false;

    std::byte first{};
    iovec part{&first, 1};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int)) + CMSG_SPACE(64)> told{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = told.data();
    message.msg_controllen = told.size();
    const int got = calls.recvmsg(fd, message, MSG_PEEK | MSG_DONTWAIT);
    calls.setsockopt(fd, IPPROTO_TCP, TCP_INQ, &asked_before, sizeof asked_before);
    if (got < 0) return false;

    int unread = 0;
    int with_fin = 0;
    calls.ioctl(fd, SIOCINQ, unread);
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each))
        if (each->cmsg_level == IPPROTO_TCP && each->cmsg_type == TCP_CM_INQ)
            std::memcpy(&with_fin, CMSG_DATA(each), sizeof with_fin);
    return with_fin > unread;
}

// Both sides have finished, and everything was acknowledged: what was received can still be read.
// A reset leaves the same state behind, and an application that has been told of it no error.
bool ended_in_order(system_calls& calls, int fd, const tcp_snapshot& info) noexcept {
    const bool fin_acknowledged =
        info.acknowledged_bytes + info.repeated_bytes > info.payload_bytes; // or SYN, of a client
    return fin_acknowledged && holds_fin(calls, fd) && socket_error_of(calls, fd) == 0;
}

bool has_connection(system_calls& calls, int fd, const tcp_snapshot& info) noexcept {
    switch (info.state) {
    case tcp_state::established:
    case tcp_state::syn_received: // accepted before the handshake was done, by TCP_FASTOPEN
    case tcp_state::unknown:      // no TCP_INFO here, but the socket has told its peer's name
    case tcp_state::fin_wait_1:
    case tcp_state::fin_wait_2:
    case tcp_state::close_wait:
    case tcp_state::last_ack:
    case tcp_state::closing:
        return true;
    case tcp_state::closed:
        return ended_in_order(calls, fd, info);
    default:
        return false;
    }
}

} // namespace

result<stream> adopt(loop& loop, int fd) {
    system_calls& calls = loop.calls();
    int type = 0;
    int domain = 0;
    if (const int refused = option_of(calls, fd, SOL_SOCKET, SO_TYPE, type); refused < 0)
        return std::unexpected(system_error(refused));
    option_of(calls, fd, SOL_SOCKET, SO_DOMAIN, domain);
    const bool tcp = domain == AF_INET || domain == AF_INET6;
    int protocol = 0;
    option_of(calls, fd, SOL_SOCKET, SO_PROTOCOL, protocol);
    const bool other_protocol = tcp && protocol != 0 && protocol != IPPROTO_TCP; // MPTCP, SCTP
    if (type != SOCK_STREAM || other_protocol || (!tcp && domain != AF_UNIX) ||
        (tcp && has_upper_protocol(calls, fd)))
        return std::unexpected(std::make_error_code(std::errc::protocol_not_supported));

    connection::origin from;
    from.traits = tcp ? transports::tcp : transports::unix_stream;
    from.peer = peer_name(calls, fd);
    if (from.peer.family() == AF_UNSPEC) return not_connected();
    if (tcp) {
        const standing found = standing_of(calls, fd);
        if (!has_connection(calls, fd, found.info)) return not_connected();
        from.acknowledged_before = acknowledged_before(found);
    } else if (socket_error_of(calls, fd) != 0) {
        return not_connected(); // its peer has gone and left bytes of ours unread
    }
    calls.set_nonblocking(fd, false);
    const linger off{};
    calls.setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
    return stream(connection::adopt(loop, fd, from));
}

} // namespace ringdown
