#include "packets.hpp"

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace ringdown::testing {
namespace {

int checked(int returned, const char* what) {
    if (returned < 0) throw std::system_error(errno, std::system_category(), what);
    return returned;
}

// The kernel interrupts the loop's thread to run a ring's work.
template <class Call>
auto uninterrupted(Call call) {
    for (;;)
        if (const auto returned = call(); returned >= 0 || errno != EINTR) return returned;
}

} // namespace

plain_socket::plain_socket(int fd) : fd_(fd) {
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

plain_socket::plain_socket(plain_socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

plain_socket& plain_socket::operator=(plain_socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

address plain_socket::local() const {
    address name;
    socklen_t bytes = address::capacity;
    checked(::getsockname(fd_, name.data(), &bytes), "getsockname");
    name.resize(bytes);
    return name;
}

void plain_socket::close() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

packet_peer::packet_peer(int fd) : plain_socket(fd) {
    const int on = 1;
    checked(::setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on), "SO_PASSCRED");
}

int packet_peer::send(std::string_view message) {
    const auto n = uninterrupted(
        [&] { return ::send(descriptor(), message.data(), message.size(), MSG_NOSIGNAL); });
    return n < 0 ? errno : 0;
}

int packet_peer::send_with_descriptor(std::string_view message) {
    iovec piece{const_cast<char*>(message.data()), message.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr whole{};
    whole.msg_iov = &piece;
    whole.msg_iovlen = 1;
    whole.msg_control = control;
    whole.msg_controllen = sizeof control;
    cmsghdr* const along = CMSG_FIRSTHDR(&whole);
    along->cmsg_level = SOL_SOCKET;
    along->cmsg_type = SCM_RIGHTS;
    along->cmsg_len = CMSG_LEN(sizeof(int));
    const int sent = descriptor();
    std::memcpy(CMSG_DATA(along), &sent, sizeof sent);
    return ::sendmsg(descriptor(), &whole, MSG_NOSIGNAL) < 0 ? errno : 0;
}

message_reading packet_peer::receive() {
    std::string into(1 << 18, '\0');
    iovec piece{into.data(), into.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))] = {};
    msghdr whole{};
    whole.msg_iov = &piece;
    whole.msg_iovlen = 1;
    whole.msg_control = control;
    whole.msg_controllen = sizeof control;
    const auto n = uninterrupted([&] { return ::recvmsg(descriptor(), &whole, 0); });
    if (n < 0) return {.message = {}, .error = errno};
    if (whole.msg_controllen == 0) return {};
    into.resize(static_cast<std::size_t>(n));
    return {.message = std::move(into)};
}

void packet_peer::finish() { checked(::shutdown(descriptor(), SHUT_WR), "shutdown"); }

raw_packet_pair packet_pair(int our_send_buffer) {
    int ends[2];
    checked(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
    if (our_send_buffer != 0)
        ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &our_send_buffer, sizeof our_send_buffer);
    return {ends[0], packet_peer(ends[1])};
}

udp_peer::udp_peer(bool ipv6, std::uint16_t port)
    : plain_socket(
          checked(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")) {
    const auto at = *address::parse((ipv6 ? "[::1]:" : "127.0.0.1:") + std::to_string(port));
    checked(::bind(descriptor(), at.data(), at.size()), "bind");
}

int udp_peer::send_to(std::string_view data, const address& to) {
    const auto n = uninterrupted(
        [&] { return ::sendto(descriptor(), data.data(), data.size(), 0, to.data(), to.size()); });
    return n < 0 ? errno : 0;
}

message_reading udp_peer::receive() {
    std::string into(1 << 16, '\0');
    address sender;
    socklen_t bytes = address::capacity;
    const auto n = uninterrupted([&] {
        return ::recvfrom(descriptor(), into.data(), into.size(), 0, sender.data(), &bytes);
    });
    if (n < 0) return {.message = {}, .error = errno};
    sender.resize(bytes);
    into.resize(static_cast<std::size_t>(n));
    return {.message = std::move(into), .sender = sender};
}

bool udp_peer::empty() const {
    char any;
    return ::recv(descriptor(), &any, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

} // namespace ringdown::testing
