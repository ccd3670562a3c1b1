#include <ringdown/net/tcp_state.hpp>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <ringdown/runtime/system.hpp>

namespace ringdown {

tcp_snapshot tcp_info_of(system& calls, int fd) noexcept {
    tcp_info info{};
    socklen_t bytes = sizeof info;
    if (calls.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) < 0) return {};
    return {static_cast<tcp_state>(info.tcpi_state),
            info.tcpi_bytes_acked,
            info.tcpi_bytes_received,
            info.tcpi_notsent_bytes,
            info.tcpi_last_ack_recv,
            info.tcpi_rtt};
}

int socket_error_of(system& calls, int fd) noexcept {
    int error = 0;
    socklen_t bytes = sizeof error;
    return calls.getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0 ? 0 : error;
}

} // namespace ringdown
