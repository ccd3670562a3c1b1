#include "sock_diag.hpp"

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ringdown::testing {
namespace {

// Bit n is state n of include/net/tcp_states.h: 6 is TIME_WAIT, 7 and 13 are without a connection,
// 10 listens.
constexpr unsigned of_connections = 0x1fff & ~(1U << 10);
constexpr unsigned of_open_ones = of_connections & ~(1U << 6 | 1U << 7);

int open_netlink() {
    const int fd = ::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0) throw std::system_error(errno, std::system_category(), "sock_diag");
    return fd;
}

void ask(int fd, int family, unsigned states) {
    struct {
        nlmsghdr header;
        inet_diag_req_v2 body;
    } request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.body.sdiag_family = static_cast<__u8>(family);
    request.body.sdiag_protocol = IPPROTO_TCP;
    request.body.idiag_states = states;
    if (::send(fd, &request, sizeof request, 0) < 0)
        throw std::system_error(errno, std::system_category(), "sock_diag");
}

// False after the last part.
bool take_part(int fd, std::vector<kernel_socket>& into) {
    alignas(nlmsghdr) char part[32768];
    const auto got = ::recv(fd, part, sizeof part, 0);
    if (got <= 0) throw std::system_error(errno, std::system_category(), "sock_diag");
    auto left = static_cast<unsigned>(got);
    for (auto* each = reinterpret_cast<nlmsghdr*>(part); NLMSG_OK(each, left);
         each = NLMSG_NEXT(each, left)) {
        if (each->nlmsg_type == NLMSG_DONE) return false;
        if (each->nlmsg_type == NLMSG_ERROR)
            throw std::runtime_error("sock_diag refused to answer");
        const auto& socket = *static_cast<const inet_diag_msg*>(NLMSG_DATA(each));
        into.push_back({.state = static_cast<ringdown::tcp_state>(socket.idiag_state),
                        .local = ntohs(socket.id.idiag_sport),
                        .remote = ntohs(socket.id.idiag_dport),
                        .receive_queue = socket.idiag_rqueue,
                        .send_queue = socket.idiag_wqueue,
                        .orphan = socket.idiag_inode == 0});
    }
    return true;
}

} // namespace

std::vector<kernel_socket> kernel_sockets(std::uint16_t one, std::uint16_t other) {
    const int fd = open_netlink();
    std::vector<kernel_socket> all;
    ask(fd, AF_INET, of_connections);
    while (take_part(fd, all)) {
    }
    ::close(fd);
    std::erase_if(all, [=](const kernel_socket& each) {
        return !(each.local == one && each.remote == other) &&
               !(each.local == other && each.remote == one);
    });
    return all;
}

bool connections_are_open() {
    for (const int family : {AF_INET, AF_INET6}) {
        const int fd = open_netlink();
        std::vector<kernel_socket> found;
        ask(fd, family, of_open_ones);
        while (found.empty() && take_part(fd, found)) {
        }
        ::close(fd);
        if (!found.empty()) return true;
    }
    return false;
}

unsigned time_waits(std::uint16_t one, std::uint16_t other) {
    return static_cast<unsigned>(std::ranges::count(
        kernel_sockets(one, other), ringdown::tcp_state::time_wait, &kernel_socket::state));
}

} // namespace ringdown::testing
