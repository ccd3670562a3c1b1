#include <cerrno>
#include <system_error>

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <ringdown/net/listener.hpp>
#include <ringdown/net/peer_name.hpp>

namespace ringdown {
namespace {

connection_kind kind_of(int family, int type) noexcept {
    if (family != AF_UNIX) return connection_kind::tcp;
    return type == SOCK_SEQPACKET ? connection_kind::unix_packets : connection_kind::unix_stream;
}

} // namespace

listening_socket::listening_socket(const address& at, const listen_options& options, system& calls)
    : calls_(calls), path_(calls) {
    const int type = options.packets ? SOCK_SEQPACKET : SOCK_STREAM;
    kind_ = kind_of(at.family(), type);
    // An IP family with this type would be SCTP.
    fd_ = options.packets && at.family() != AF_UNIX
              ? -EPROTONOSUPPORT
              : calls_.socket(at.family(), type | SOCK_CLOEXEC, 0);
    close_on_failure(fd_, "cannot make a socket for " + at.text());
    const int on = 1;
    if (options.reuse_address && kind_ == connection_kind::tcp)
        calls_.setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (options.no_delay && kind_ == connection_kind::tcp)
        calls_.setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options.reuse_port) calls_.setsockopt(fd_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    close_on_failure(path_.bind(fd_, at, options.path), "cannot listen on " + at.text());
    close_on_failure(calls_.listen(fd_, options.backlog), "cannot listen on " + at.text());
}

listening_socket::listening_socket(int fd, system& calls) : calls_(calls), fd_(fd), path_(calls) {
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
    kind_ = kind_of(domain, type);
    // Accepted sockets inherit it, and a kernel linger would block their close.
    const linger off{};
    calls_.setsockopt(fd_, SOL_SOCKET, SO_LINGER, &off, sizeof off);
}

void listening_socket::close_on_failure(int refused, const std::string& what) {
    if (refused >= 0) return;
    path_.remove();
    if (fd_ >= 0) calls_.close(fd_);
    throw std::system_error(system_error(refused), what);
}

listening_socket::~listening_socket() {
    path_.remove();
    calls_.close(fd_);
}

address listening_socket::local() const { return local_name(calls_, fd_); }

void listening_socket::refuse_newcomers() noexcept {
    if (kind_ != connection_kind::tcp) {
        calls_.shutdown(fd_, SHUT_RD); // connect(2) is refused; who waits can still be accepted
        path_.remove();                // so that a successor can start at once
        return;
    }
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
    calls_.setsockopt(fd_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

} // namespace ringdown
