#include <cerrno>
#include <system_error>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <ringdown/net/internal/peer_name.hpp>
#include <ringdown/net/listener.hpp>

namespace ringdown {
namespace {

transport_traits traits_of(int family, int type) noexcept {
    if (family != AF_UNIX) return transports::tcp;
    return type == SOCK_SEQPACKET ? transports::unix_packets : transports::unix_stream;
}

} // namespace

listening_socket::listening_socket(const address& at, const listen_options& options,
                                   system_calls& calls)
    : calls_(calls), path_(calls) {
    const int type = options.packets ? SOCK_SEQPACKET : SOCK_STREAM;
    traits_ = traits_of(at.family(), type);
    // An IP family with this type would be SCTP.
    const int fd = options.packets && at.family() != AF_UNIX
                       ? -EPROTONOSUPPORT
                       : calls_.socket(at.family(), type | SOCK_CLOEXEC, 0);
    fd_ = fd;
    close_on_failure(fd, "cannot make a socket for " + at.text());
    const int on = 1;
    if (options.reuse_address && at.family() != AF_UNIX)
        calls_.setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (options.no_delay && at.family() != AF_UNIX)
        calls_.setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options.reuse_port) calls_.setsockopt(fd_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (options.ipv6_only && at.family() == AF_INET6) {
        const int only = *options.ipv6_only;
        close_on_failure(calls_.setsockopt(fd_, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only),
                         "cannot set IPV6_V6ONLY for " + at.text());
    }
    close_on_failure(path_.bind(fd_, at, options.path), "cannot listen on " + at.text());
    close_on_failure(calls_.listen(fd_, options.backlog), "cannot listen on " + at.text());
    local_ = local_name(calls_, fd_);
}

listening_socket::listening_socket(int fd, system_calls& calls)
    : calls_(calls), fd_(fd), path_(calls) {
    int listens = 0;
    socklen_t bytes = sizeof listens;
    const int refused = calls_.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes);
    if (refused < 0 || !listens)
        throw std::system_error(system_error(refused < 0 ? refused : -EINVAL),
                                "descriptor " + std::to_string(fd) + " does not listen");
    int type = SOCK_STREAM;
    int domain = 0;
    int protocol = 0;
    option_of(calls_, fd, SOL_SOCKET, SO_TYPE, type);
    option_of(calls_, fd, SOL_SOCKET, SO_DOMAIN, domain);
    option_of(calls_, fd, SOL_SOCKET, SO_PROTOCOL, protocol);
    const bool tcp = (domain == AF_INET || domain == AF_INET6) && protocol == IPPROTO_TCP;
    if (!tcp && domain != AF_UNIX)
        throw std::system_error(system_error(-EPROTONOSUPPORT),
                                "descriptor " + std::to_string(fd) +
                                    " listens, but neither as TCP nor as a unix socket");
    traits_ = traits_of(domain, type);
    // Accepted sockets inherit it, and a kernel linger would block their close.
    const linger off{};
    calls_.setsockopt(fd_, SOL_SOCKET, SO_LINGER, &off, sizeof off);
    local_ = local_name(calls_, fd_);
}

void listening_socket::close_on_failure(int refused, const std::string& what) {
    if (refused >= 0) return;
    path_.remove();
    if (fd_ >= 0) calls_.close(fd_);
    throw std::system_error(system_error(refused), what);
}

listening_socket::~listening_socket() {
    path_.remove();
    if (const int fd = fd_; fd >= 0) calls_.close(fd);
}

bool listening_socket::join() noexcept {
    const std::lock_guard changing(changing_);
    if (fd_ < 0) return false;
    ++joined_;
    return true;
}

void listening_socket::leave() noexcept {
    const std::lock_guard changing(changing_);
    if (--joined_ > 0 || !refused_) return;
    // Another descriptor of it, with a child or whoever handed it over, would leave newcomers to
    // wait for an answer for ever.
    calls_.shutdown(fd_, SHUT_RD);
    calls_.close(fd_.exchange(-1, std::memory_order_relaxed));
}

result<refusal> listening_socket::refuse_newcomers() noexcept {
    const std::lock_guard changing(changing_);
    if (refused_) return *refused_;
    if (!traits_.has_handshake) {
        calls_.shutdown(fd_, SHUT_RD); // connect(2) is refused; who waits can still be accepted
        path_.remove();                // so that a successor can start at once
        refused_ = refusal::by_shutdown;
    } else {
        refused_ = refuse_tcp();
    }
    return *refused_;
}

// The filter comes first because it lets SYN cookies through.
result<refusal> listening_socket::refuse_tcp() noexcept {
    // A client that has not sent anything is not left in the middle of its handshake: the kernel
    // repeats SYN-ACK and takes the answer.
    const int off = 0;
    calls_.setsockopt(fd_, IPPROTO_TCP, TCP_DEFER_ACCEPT, &off, sizeof off);
    if (drop_syns(calls_, fd_) >= 0) return refusal::by_filter;
    if (bind_to_no_interface(calls_, fd_) >= 0) return refusal::by_interface;
    if (const int answer = demand_hops(); answer < 0) return std::unexpected(system_error(answer));
    return refusal::by_hop_limit;
}

int listening_socket::demand_hops() noexcept {
    const bool ipv6 = local_.family() == AF_INET6;
    if (const int answer = before_.read(calls_, fd_); answer < 0) return answer;
    // Before the first socket inherits it, on whatever thread that is accepted.
    demands_hops_.store(true, std::memory_order_release);
    return hop_limits::demand_highest(calls_, fd_, ipv6);
}

} // namespace ringdown
