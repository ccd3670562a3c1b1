#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <ringdown/runtime/internal/uapi.hpp>

#include "sim_socket.hpp"

namespace ringdown::sim {

using namespace std::chrono_literals;

int tcp_socket::get_option(int level, int name, void* value, socklen_t& bytes) {
    if (level == IPPROTO_TCP && name == TCP_INFO) return fill_info(value, bytes), 0;
    if (level == SOL_SOCKET && name == SO_LINGER) {
        const int linger[2]{linger_, linger_seconds_};
        bytes = std::min<socklen_t>(bytes, sizeof linger);
        return std::memcpy(value, linger, bytes), 0;
    }
    if (level == SOL_SOCKET && name == uapi::so_peername) {
        sockaddr_in name_of_peer{};
        name_of_peer.sin_family = AF_INET;
        name_of_peer.sin_port = htons(peer_port_);
        name_of_peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (!peer_port_ || disconnected_) return -ENOTCONN;
        if (bytes > sizeof name_of_peer) return -EINVAL; // yes: more room than needed is refused
        return std::memcpy(value, &name_of_peer, bytes), 0;
    }
    int answer = options_[{level, name}];
    if (level == SOL_SOCKET && name == SO_ERROR) answer = -take_error();
    if (level == SOL_SOCKET && name == SO_TYPE) answer = SOCK_STREAM;
    if (level == SOL_SOCKET && name == SO_DOMAIN) answer = AF_INET;
    if (level == SOL_SOCKET && name == SO_PROTOCOL) answer = IPPROTO_TCP;
    bytes = std::min<socklen_t>(bytes, sizeof answer);
    return std::memcpy(value, &answer, bytes), 0;
}

int tcp_socket::set_option(int level, int name, const void* value, socklen_t bytes) {
    int values[2]{};
    if (bytes < sizeof values[0]) return -EINVAL;
    std::memcpy(values, value, std::min<std::size_t>(bytes, sizeof values));
    if (level == SOL_SOCKET && name == SO_LINGER) {
        if (bytes < sizeof values) return -EINVAL;
        linger_ = values[0] != 0;
        linger_seconds_ = values[1];
    }
    if (level == IPPROTO_TCP && name == TCP_USER_TIMEOUT) {
        user_timeout_ms_ = values[0];
        timeout_armed_ = false;
        watch_timeout();
    }
    options_[{level, name}] = values[0];
    return 0;
}

bool tcp_socket::tells_inq() { return options_[{IPPROTO_TCP, TCP_INQ}] != 0; }

void tcp_socket::fill_info(void* value, socklen_t& bytes) const {
    auto milliseconds = [&](time_point since) {
        return static_cast<unsigned>((world_.now() - since) / 1ms);
    };
    tcp_info info{};
    info.tcpi_state = state_;
    info.tcpi_last_ack_recv = milliseconds(last_ack_);
    info.tcpi_last_data_recv = milliseconds(last_data_);
    // SYN and FIN take a place in the sequence as well, and count.
    const bool fin_unsent = fin_queued_ && !truth.fin_sent;
    info.tcpi_notsent_bytes = static_cast<unsigned>(
        disconnected_ ? static_cast<unsigned>(queued_out()) : stream_.size() - sent_ + fin_unsent);
    if (!disconnected_) {
        info.tcpi_bytes_acked = acked_ + truth.fin_acknowledged + script_.we_connected;
        info.tcpi_bytes_sent = sent_;
        info.tcpi_bytes_received = truth.from_peer + truth.peer_finished;
        info.tcpi_unacked =
            static_cast<unsigned>((sent_ - acked_ + segment_bytes - 1) / segment_bytes);
    }
    bytes = std::min<socklen_t>(bytes, sizeof info);
    std::memcpy(value, &info, bytes);
}

} // namespace ringdown::sim
