#include <ringdown/net/packet_stream.hpp>

#include <ringdown/net/internal/peer_name.hpp>
#include <ringdown/net/internal/tcp_state.hpp>
#include <ringdown/net/socket_options.hpp>

namespace ringdown {

packet_stream::packet_stream(connected_socket&& socket) noexcept
    : connected_socket(std::move(socket)) {
    require(state().traits().keeps_messages && state().traits().has_peer,
            "a packet stream was made of a connection without packets");
}

result<packet_stream> adopt_packets(loop& loop, int fd) {
    system_calls& calls = loop.calls();
    int type = 0;
    int domain = 0;
    if (const int refused = option_of(calls, fd, SOL_SOCKET, SO_TYPE, type); refused < 0)
        return std::unexpected(system_error(refused));
    option_of(calls, fd, SOL_SOCKET, SO_DOMAIN, domain);
    if (type != SOCK_SEQPACKET || domain != AF_UNIX)
        return std::unexpected(std::make_error_code(std::errc::protocol_not_supported));
    connection::origin from;
    from.traits = transports::unix_packets;
    from.peer = peer_name(calls, fd);
    const bool connected = from.peer.family() != AF_UNSPEC;
    if (!connected || socket_error_of(calls, fd) != 0) // its peer has gone and left messages unread
        return std::unexpected(std::make_error_code(std::errc::not_connected));
    calls.set_nonblocking(fd, false);
    mark_messages(calls, fd);
    return packet_stream(connection::adopt(loop, fd, from));
}

} // namespace ringdown
