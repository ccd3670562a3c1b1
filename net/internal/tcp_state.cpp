#include <ringdown/net/internal/tcp_state.hpp>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <ringdown/runtime/system_calls.hpp>

namespace ringdown {

tcp_snapshot tcp_info_of(system_calls& calls, int fd) noexcept {
    tcp_info info{};
    socklen_t bytes = sizeof info;
    if (calls.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) < 0) return {};
    return {.state = static_cast<tcp_state>(info.tcpi_state),
            .acknowledged_bytes = info.tcpi_bytes_acked,
            .received_bytes = info.tcpi_bytes_received,
            .unsent_bytes = info.tcpi_notsent_bytes,
            .acknowledgement_age_ms = info.tcpi_last_ack_recv,
            .round_trip_us = info.tcpi_rtt,
            .payload_bytes = info.tcpi_bytes_sent,
            .repeated_bytes = info.tcpi_bytes_retrans};
}

bool has_upper_protocol(system_calls& calls, int fd) noexcept {
    char name[16]{};
    socklen_t bytes = sizeof name;
    if (calls.getsockopt(fd, IPPROTO_TCP, TCP_ULP, name, &bytes) < 0) return false;
    return bytes > 0 && name[0] != 0;
}

int socket_error_of(system_calls& calls, int fd) noexcept {
    int error = 0;
    socklen_t bytes = sizeof error;
    return calls.getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0 ? 0 : error;
}

} // namespace ringdown
