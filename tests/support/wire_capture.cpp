#include "wire_capture.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ringdown::testing {
namespace {

constexpr unsigned flags_offset = 13, fin_flag = 0x01, rst_flag = 0x04;

// So that a capture of ends is not crowded out by megabytes of data.
void keep_only(unsigned flags, int fd, bool ipv6) {
    sock_filter of_ipv4[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 4),
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_IND, flags_offset),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, ~0U),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    sock_filter of_ipv6[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 3),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, sizeof(ip6_hdr) + flags_offset),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, ~0U),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const sock_fprog program =
        ipv6 ? sock_fprog{std::size(of_ipv6), of_ipv6} : sock_fprog{std::size(of_ipv4), of_ipv4};
    ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

void keep_nothing(int fd) {
    sock_filter none[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const sock_fprog program{std::size(none), none};
    ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

void filter(int fd, wire_capture::what captured, bool ipv6) {
    const int none = 0;
    if (captured == wire_capture::what::resets) keep_only(rst_flag, fd, ipv6);
    if (captured == wire_capture::what::ends) keep_only(rst_flag | fin_flag, fd, ipv6);
    if (captured == wire_capture::what::all)
        ::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
}

// Those of captures that are over: the kernel takes a tenth of a second to close such sockets.
std::vector<std::array<int, 2>>& kept_sockets(wire_capture::what captured) {
    static std::array<std::vector<std::array<int, 2>>, 3> of_each;
    return of_each[static_cast<std::size_t>(captured)];
}

int packet_socket(bool ipv6, wire_capture::what captured) {
    // Of one protocol a packet socket sees each packet once, as it arrives. None until the filter
    // is in place.
    const int fd = ::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fd;
    const int room = 64 << 20;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    filter(fd, captured, ipv6);
    sockaddr_ll all{};
    all.sll_family = AF_PACKET;
    all.sll_protocol = htons(ipv6 ? ETH_P_IPV6 : ETH_P_IP);
    ::bind(fd, reinterpret_cast<const sockaddr*>(&all), sizeof all);
    return fd;
}

wire_segment segment_of(const tcphdr& tcp, unsigned tcp_bytes) {
    return {.from = ntohs(tcp.source),
            .to = ntohs(tcp.dest),
            .sequence = ntohl(tcp.seq),
            .payload = tcp_bytes - tcp.doff * 4U,
            .syn = tcp.syn != 0,
            .fin = tcp.fin != 0,
            .rst = tcp.rst != 0,
            .ack = tcp.ack != 0};
}

std::uint32_t end_of(const wire_segment& segment) {
    return segment.sequence + segment.payload + (segment.fin ? 1 : 0);
}

} // namespace

wire_capture::wire_capture(what captured) : captured_(captured) {
    auto& kept = kept_sockets(captured);
    if (kept.empty()) {
        sockets_ = {packet_socket(false, captured), packet_socket(true, captured)};
        return;
    }
    sockets_ = kept.back();
    kept.pop_back();
    filter(sockets_[0], captured, false);
    filter(sockets_[1], captured, true);
}

wire_capture::~wire_capture() {
    if (!works()) {
        for (const int fd : sockets_)
            if (fd >= 0) ::close(fd);
        return;
    }
    for (const int fd : sockets_)
        keep_nothing(fd);
    take();
    kept_sockets(captured_).push_back(sockets_);
}

bool wire_capture::repeats(const wire_segment& segment) {
    if (segment.rst || segment.syn || (segment.payload == 0 && !segment.fin)) return false;
    // In order of the ports, since thousands of connections are looked for.
    const auto ports = [](const wire_segment& each) { return std::pair(each.from, each.to); };
    const auto last = std::ranges::lower_bound(last_sent_, ports(segment), {}, ports);
    if (last == last_sent_.end() || ports(*last) != ports(segment)) {
        last_sent_.insert(last, segment);
        return false;
    }
    // Farther away than any window is another connection of the same ports.
    const auto ahead = static_cast<std::int32_t>(end_of(segment) - end_of(*last));
    if (ahead <= 0 && ahead > -(1 << 26)) return true;
    *last = segment;
    return false;
}

std::vector<wire_segment> wire_capture::take() {
    std::vector<wire_segment> taken;
    alignas(8) unsigned char packet[128];
    while (::recv(sockets_[0], packet, sizeof packet, 0) > 0) {
        const auto& ip = *reinterpret_cast<const iphdr*>(packet);
        if (ip.protocol != IPPROTO_TCP) continue;
        taken.push_back(segment_of(*reinterpret_cast<const tcphdr*>(packet + ip.ihl * 4U),
                                   ntohs(ip.tot_len) - ip.ihl * 4U));
    }
    while (::recv(sockets_[1], packet, sizeof packet, 0) > 0) {
        const auto& ip = *reinterpret_cast<const ip6_hdr*>(packet);
        if (ip.ip6_nxt != IPPROTO_TCP) continue;
        taken.push_back(
            segment_of(*reinterpret_cast<const tcphdr*>(packet + sizeof ip), ntohs(ip.ip6_plen)));
    }
    std::erase_if(taken, [this](const wire_segment& each) { return repeats(each); });
    return taken;
}

std::string sent_by(const std::vector<wire_segment>& all, std::uint16_t port) {
    std::string text;
    for (const wire_segment& each : all) {
        if (each.from != port) continue;
        std::string one;
        const auto add = [&](bool present, const char* what) {
            if (present) one.append(one.empty() ? "" : "+").append(what);
        };
        add(each.syn, "syn");
        add(each.payload > 0, "data");
        add(each.fin, "fin");
        add(each.rst, "rst");
        if (!one.empty()) text.append(text.empty() ? "" : " ").append(one);
    }
    return text;
}

} // namespace ringdown::testing
