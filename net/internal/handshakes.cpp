#include <ringdown/net/internal/handshakes.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <ringdown/net/socket_options.hpp>
#include <ringdown/net/unique_descriptor.hpp>
#include <ringdown/runtime/internal/uapi.hpp>

namespace ringdown {
namespace {

// States as include/net/tcp_states.h numbers them; the request's mask has a bit for each.
constexpr unsigned syn_received = 3;
constexpr unsigned listens = 10;

// The kernel waits for a second before it repeats SYN-ACK, and then for two.
constexpr unsigned just_repeated_ms = 1'750;

constexpr std::size_t part_bytes = 32'768;

std::uint16_t port_of(const address& local) noexcept {
    std::uint16_t port = 0; // at the same place for both families
    static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
    std::memcpy(&port,
                reinterpret_cast<const char*>(local.data()) + offsetof(sockaddr_in, sin_port),
                sizeof port);
    return port;
}

std::uint64_t cookie_of(const inet_diag_msg& socket) noexcept {
    return socket.id.idiag_cookie[0] | std::uint64_t{socket.id.idiag_cookie[1]} << 32;
}

// One whose SYN-ACK was repeated just now may be a client whose ACK found the queue full.
bool may_complete(const inet_diag_msg& handshake) noexcept {
    return handshake.idiag_retrans == 0 ||
           (handshake.idiag_retrans == 1 && handshake.idiag_expires > just_repeated_ms);
}

} // namespace

handshakes::handshakes(system_calls& calls, int listening, const address& local) noexcept
    : calls_(calls), family_(static_cast<std::uint8_t>(local.family())), port_(port_of(local)) {
    if (option_of(calls_, listening, SOL_SOCKET, uapi::so_cookie, listening_) < 0) listening_ = 0;
}

std::optional<std::size_t> handshakes::under_way() {
    if (listening_ == 0) return {};
    const unique_descriptor netlink(
        calls_.socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), calls_);
    cookies found;
    complete_ = seen_listening_ = false;
    if (netlink.get() < 0 || !ask(netlink.get()) || !take_answers(netlink.get(), found)) return {};
    if (!seen_listening_) return {};
    std::ranges::sort(found);
    if (std::exchange(looked_, true)) {
        // Others that listen on the same port go on to have new ones.
        cookies left;
        std::ranges::set_intersection(watched_, found, std::back_inserter(left));
        found = std::move(left);
    }
    watched_ = std::move(found);
    return watched_.size();
}

bool handshakes::ask(int netlink) noexcept {
    struct {
        nlmsghdr header;
        inet_diag_req_v2 body;
    } request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.body.sdiag_family = family_;
    request.body.sdiag_protocol = IPPROTO_TCP;
    request.body.idiag_states = 1U << syn_received | 1U << listens;
    request.body.id.idiag_sport = port_;
    return calls_.write(netlink, &request, sizeof request) == static_cast<int>(sizeof request);
}

bool handshakes::take_answers(int netlink, cookies& found) {
    const auto part = std::make_unique_for_overwrite<char[]>(part_bytes);
    while (!complete_) {
        const int bytes = calls_.recv(netlink, part.get(), part_bytes, MSG_DONTWAIT);
        if (bytes <= 0 || !take_part(part.get(), static_cast<std::size_t>(bytes), found))
            return false;
    }
    return true;
}

bool handshakes::take_part(const char* part, std::size_t bytes, cookies& found) {
    while (bytes >= sizeof(nlmsghdr)) {
        nlmsghdr header;
        std::memcpy(&header, part, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > bytes) return false;
        if (header.nlmsg_type == NLMSG_ERROR) return false;
        if (header.nlmsg_type == NLMSG_DONE) return complete_ = true;
        if (header.nlmsg_len < NLMSG_HDRLEN + sizeof(inet_diag_msg)) return false;
        inet_diag_msg socket;
        std::memcpy(&socket, part + NLMSG_HDRLEN, sizeof socket);
        if (socket.idiag_state == listens)
            seen_listening_ = seen_listening_ || cookie_of(socket) == listening_;
        else if (may_complete(socket))
            found.push_back(cookie_of(socket));
        const auto whole = std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), bytes);
        part += whole;
        bytes -= whole;
    }
    return true;
}

} // namespace ringdown
