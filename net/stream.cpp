#include <ringdown/net/stream.hpp>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include <ringdown/net/peer_name.hpp>
#include <ringdown/net/socket_options.hpp>
#include <ringdown/net/tcp_state.hpp>

namespace ringdown {

task<result<void>> stream::shutdown_receive(std::uint64_t discard_bytes_max) {
    connection& to = connection_of();
    if (to.life() != life_phase::open) co_return std::unexpected(make_error_code(errc::ending));
    to.stop_receiving(discard_bytes_max);
    co_return result<void>{};
}

task<result<void>> stream::shutdown_both(std::uint64_t discard_bytes_max) {
    const connection_ref kept(connection_of());
    const auto received = co_await shutdown_receive(discard_bytes_max);
    if (!received) co_return received;
    co_return co_await shutdown_send();
}

namespace {

// What the kernel's count of acknowledged bytes will be when nothing of ours is outstanding.
std::uint64_t acknowledged_before(system& calls, int fd) {
    int outstanding = 0;
    calls.ioctl(fd, SIOCOUTQ, outstanding);
    return tcp_info_of(calls, fd).acknowledged_bytes + static_cast<std::uint64_t>(outstanding);
}

} // namespace

result<stream> adopt(loop& on, int fd) {
    system& calls = on.calls();
    int type = 0;
    int domain = 0;
    if (const int refused = option_of(calls, fd, SOL_SOCKET, SO_TYPE, type); refused < 0)
        return std::unexpected(system_error(refused));
    option_of(calls, fd, SOL_SOCKET, SO_DOMAIN, domain);
    const bool tcp = domain == AF_INET || domain == AF_INET6;
    int protocol = 0;
    option_of(calls, fd, SOL_SOCKET, SO_PROTOCOL, protocol);
    const bool other_protocol = tcp && protocol != 0 && protocol != IPPROTO_TCP; // MPTCP, SCTP
    if (type != SOCK_STREAM || other_protocol || (!tcp && domain != AF_UNIX))
        return std::unexpected(std::make_error_code(std::errc::protocol_not_supported));

    connection::origin from;
    from.kind = tcp ? connection_kind::tcp : connection_kind::unix_stream;
    from.peer = peer_name(calls, fd);
    if (from.peer.family() == AF_UNSPEC)
        return std::unexpected(std::make_error_code(std::errc::not_connected));
    if (tcp) from.acknowledged_before = acknowledged_before(calls, fd);
    calls.set_nonblocking(fd, false);
    const linger off{};
    calls.setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
    return stream(connection::adopt(on, fd, from));
}

} // namespace ringdown
