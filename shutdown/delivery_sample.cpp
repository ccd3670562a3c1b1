#include <ringdown/shutdown/delivery_sample.hpp>

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace ringdown {
namespace {

// The states of RFC 9293 as TCP_INFO numbers them (include/net/tcp_states.h).
enum tcp_state : int {
    established = 1,
    syn_received = 3,
    fin_wait_1 = 4,
    fin_wait_2 = 5,
    time_wait = 6,
    closed = 7,
    close_wait = 8,
    last_ack = 9,
    closing = 11,
};

// When tcp_disconnect sends RST; with both FINs on their way only if data was never sent.
bool abort_sends_reset(const tcp_info& info) noexcept {
    switch (info.tcpi_state) {
        case established:
        case syn_received:
        case fin_wait_1:
        case fin_wait_2:
        case close_wait: return true;
        case last_ack:
        case closing: return info.tcpi_notsent_bytes > 0;
        default: return false;
    }
}

}  // namespace

delivery_sample take_sample(connection& of) noexcept {
    system& calls = of.on().calls();
    const int fd = of.descriptor();
    delivery_sample sample;
    int queued = 0;
    int error = 0;
    socklen_t bytes = sizeof error;
    sample.taken = calls.ioctl(fd, SIOCOUTQ, queued) >= 0;
    sample.queued = static_cast<std::uint64_t>(queued);
    if (of.from().kind == connection_kind::tcp) {
        tcp_info info{};
        socklen_t info_bytes = sizeof info;
        sample.taken = calls.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_bytes) >= 0;
        sample.acknowledged = info.tcpi_bytes_acked - of.from().acknowledged_before;
        sample.acknowledgement_age_ms = info.tcpi_last_ack_recv;
        sample.reset_on_abort = abort_sends_reset(info);
        sample.gone = info.tcpi_state == closed || info.tcpi_state == time_wait;
    }
    if (calls.getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) >= 0 && error != 0)
        of.note_error(-error);
    return sample;
}

}  // namespace ringdown
