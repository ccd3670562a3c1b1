#include <ringdown/net/datagram.hpp>

#include <netinet/in.h>

#include <ringdown/net/internal/peer_name.hpp>
#include <ringdown/net/socket_options.hpp>

namespace ringdown {
namespace {

bool internet(int family) noexcept { return family == AF_INET || family == AF_INET6; }

// What stands for the peer of a socket that has none: 0.0.0.0:0 or [::]:0.
address anyone(int family) noexcept {
    sockaddr_in6 any{};
    any.sin6_family = static_cast<sa_family_t>(family);
    return {
        reinterpret_cast<const sockaddr*>(&any),
        static_cast<socklen_t>(family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in))};
}

datagram_socket make(loop& loop, int fd, const address& peer) {
    connection::origin from;
    from.traits = transports::datagrams;
    from.ipv6 = peer.family() == AF_INET6;
    from.peer = peer;
    return datagram_socket(connection::adopt(loop, fd, from));
}

int family_of(const datagram_options& options) noexcept {
    const int local = options.local ? options.local->family() : AF_UNSPEC;
    const int peer = options.peer ? options.peer->family() : AF_UNSPEC;
    if (local == AF_UNSPEC && peer == AF_UNSPEC) return AF_INET;
    if (local == AF_UNSPEC) return peer;
    return peer == AF_UNSPEC || peer == local ? local : AF_UNSPEC;
}

// 0 or a negated errno.
int set_up(system_calls& calls, int fd, const datagram_options& options) noexcept {
    const int on = 1;
    if (options.reuse_address) calls.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (options.reuse_port) calls.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    int done = 0;
    if (options.local) done = calls.bind(fd, options.local->data(), options.local->size());
    // Names the peer and sends nothing, so it does not wait.
    if (done >= 0 && options.peer)
        done = calls.connect(fd, options.peer->data(), options.peer->size());
    return done;
}

} // namespace

send_datagram_operation::send_datagram_operation(connection& connection,
                                                 std::span<const std::byte> data,
                                                 std::optional<address> to) noexcept
    : connection_operation(connection, "sendmsg"), to_(std::move(to)),
      piece_{const_cast<std::byte*>(data.data()), data.size()} {}

bool send_datagram_operation::begin() {
    connection& connection = target();
    outcome_.error = connection.refuses_sending();
    if (outcome_.error) {
        stay();
        return false;
    }
    connection.note_in_use();
    connection.bytes().handed += piece_.iov_len;
    message_.msg_iov = &piece_;
    message_.msg_iovlen = 1;
    if (to_) {
        message_.msg_name = to_->data();
        message_.msg_namelen = to_->size();
    }
    launch([&](io_uring_sqe& sqe) {
        io_uring_prep_sendmsg(&sqe, connection.descriptor(), &message_, MSG_NOSIGNAL);
    });
    return true;
}

void send_datagram_operation::settled(completion what) noexcept {
    connection& connection = target();
    if (what.result >= 0) {
        outcome_.bytes = static_cast<std::size_t>(what.result);
        connection.bytes().sent += outcome_.bytes;
    } else {
        outcome_.error = connection.error_of(what.result);
        // Of an open socket it is the application's again; at a close it stays unsent.
        if (connection.life() == life_phase::open) connection.bytes().handed -= piece_.iov_len;
    }
    wake();
}

void send_datagram_operation::cancel(cancel_reason reason) noexcept {
    target().note_canceled(reason);
    request_cancel();
}

result<datagram_socket> open_datagrams(loop& loop, const datagram_options& options) {
    system_calls& calls = loop.calls();
    const int family = family_of(options);
    if (!internet(family))
        return std::unexpected(std::make_error_code(std::errc::address_family_not_supported));
    const int fd = calls.socket(family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0) return std::unexpected(system_error(fd));
    if (const int refused = set_up(calls, fd, options); refused < 0) {
        calls.close(fd);
        return std::unexpected(system_error(refused));
    }
    return make(loop, fd, options.peer.value_or(anyone(family)));
}

result<datagram_socket> adopt_datagrams(loop& loop, int fd) {
    system_calls& calls = loop.calls();
    int type = 0;
    int protocol = 0;
    int family = 0;
    if (const int refused = option_of(calls, fd, SOL_SOCKET, SO_TYPE, type); refused < 0)
        return std::unexpected(system_error(refused));
    option_of(calls, fd, SOL_SOCKET, SO_PROTOCOL, protocol);
    option_of(calls, fd, SOL_SOCKET, SO_DOMAIN, family);
    if (type != SOCK_DGRAM || protocol != IPPROTO_UDP || !internet(family))
        return std::unexpected(std::make_error_code(std::errc::protocol_not_supported));
    address peer = peer_name(calls, fd);
    if (peer.family() == AF_UNSPEC) peer = anyone(family);
    calls.set_nonblocking(fd, false);
    return make(loop, fd, peer);
}

} // namespace ringdown
