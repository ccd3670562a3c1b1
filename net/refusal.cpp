#include <ringdown/net/refusal.hpp>

#include <cerrno>
#include <climits>

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <ringdown/net/socket_options.hpp>
#include <ringdown/runtime/internal/uapi.hpp>
#include <ringdown/runtime/system_calls.hpp>

namespace ringdown {
namespace {

constexpr int highest = 255;

} // namespace

std::string_view name(refusal how) noexcept {
    static constexpr std::array<std::string_view, 6> names{
        "none", "by_filter", "by_interface", "by_hop_limit", "by_shutdown", "denied"};
    return names[static_cast<std::size_t>(how)];
}

int drop_syns(system_calls& calls, int listening) noexcept {
    // The filter sees the TCP header: byte 13 holds the flags. SYN without ACK opens a connection.
    constexpr unsigned flags_offset = 13, syn = 0x02, ack = 0x10;
    sock_filter drop_syn[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, flags_offset),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, syn | ack),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, syn, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, ~0U),
    };
    const sock_fprog program{.len = 5, .filter = drop_syn};
    return calls.setsockopt(listening, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int bind_to_no_interface(system_calls& calls, int listening) noexcept {
    // The kernel does not ask whether there is one of that number, and numbers them from 1 on.
    const int no_interface = INT_MAX;
    return calls.setsockopt(listening, SOL_SOCKET, uapi::so_bindtoifindex, &no_interface,
                            sizeof no_interface);
}

int hop_limits::read(system_calls& calls, int listening) noexcept {
    before = {};
    const int answer = option_of(calls, listening, IPPROTO_IP, IP_MINTTL, before[0]);
    // Refused by an IPv4 socket.
    (void)option_of(calls, listening, IPPROTO_IPV6, uapi::ipv6_minhopcount, before[1]);
    // Its peers send the highest TTL, as such sockets ask of them (RFC 5082).
    if (before[0] == highest || before[1] == highest) return -EPERM;
    return answer;
}

int hop_limits::demand_highest(system_calls& calls, int listening, bool ipv6) noexcept {
    const int answer = calls.setsockopt(listening, IPPROTO_IP, IP_MINTTL, &highest, sizeof highest);
    if (answer < 0 || !ipv6) return answer;
    return calls.setsockopt(listening, IPPROTO_IPV6, uapi::ipv6_minhopcount, &highest,
                            sizeof highest);
}

void hop_limits::give_back(system_calls& calls, int accepted) const noexcept {
    calls.setsockopt(accepted, IPPROTO_IP, IP_MINTTL, &before[0], sizeof before[0]);
    // Refused by an IPv4 socket.
    calls.setsockopt(accepted, IPPROTO_IPV6, uapi::ipv6_minhopcount, &before[1], sizeof before[1]);
}

} // namespace ringdown
