#include "sockets.hpp"

#include <cerrno>
#include <ctime>
#include <random>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failure.hpp"

namespace load {
namespace {

constexpr std::uint64_t connections_a_source = 20'000;
constexpr std::size_t message_bytes_max = 1 << 20;
constexpr std::size_t beginnings = 1 << 16;

sockaddr_in loopback(std::uint32_t host, std::uint16_t port) {
    sockaddr_in made{};
    made.sin_family = AF_INET;
    made.sin_addr.s_addr = htonl(host);
    made.sin_port = htons(port);
    return made;
}

void bind_source(int fd, std::uint64_t nth) {
    const auto number = static_cast<std::uint32_t>(nth / connections_a_source % 250);
    if (number == 0) return; // 127.0.0.1, which the kernel takes by itself
    const int one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    const sockaddr_in source = loopback(INADDR_LOOPBACK + number, 0);
    must(bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) == 0, "bind");
}

std::vector<char> random_bytes() {
    std::mt19937_64 generator(1); // the same in every run
    std::vector<char> made(beginnings + message_bytes_max);
    for (char& each : made)
        each = static_cast<char>(generator());
    return made;
}

} // namespace

time_ns now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<time_ns>(time.tv_sec) * 1'000'000'000 + static_cast<time_ns>(time.tv_nsec);
}

int connect_to(std::uint16_t port, std::uint64_t nth, int receive_buffer_bytes) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0, "socket");
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (receive_buffer_bytes > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    bind_source(fd, nth);
    const sockaddr_in server = loopback(INADDR_LOOPBACK, port);
    const int refused = connect(fd, reinterpret_cast<const sockaddr*>(&server), sizeof server);
    must(refused == 0 || errno == EINPROGRESS, "connect");
    return fd;
}

std::span<const char> message(std::uint64_t nth, std::uint64_t sequence, std::size_t bytes) {
    static const std::vector<char> pattern = random_bytes();
    if (bytes > message_bytes_max) fail("a message has at most 1 MiB");
    const std::uint64_t mixed = (nth * 0x9e3779b97f4a7c15 + sequence) * 0xbf58476d1ce4e5b9;
    return {pattern.data() + (mixed >> 48) % beginnings, bytes};
}

void abort_on_close(int fd) {
    const linger abort{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
}

poller::poller() : fd_(epoll_create1(EPOLL_CLOEXEC)) { must(fd_ >= 0, "epoll_create1"); }

void poller::add(int fd, std::uint32_t events, std::uint64_t index) const {
    epoll_event wanted{};
    wanted.events = events;
    wanted.data.u64 = index;
    must(epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &wanted) == 0, "epoll_ctl");
}

void poller::change(int fd, std::uint32_t events, std::uint64_t index) const {
    epoll_event wanted{};
    wanted.events = events;
    wanted.data.u64 = index;
    must(epoll_ctl(fd_, EPOLL_CTL_MOD, fd, &wanted) == 0, "epoll_ctl");
}

std::span<const epoll_event> poller::wait(time_ns until) {
    const time_ns begun = now();
    const time_ns left = until > begun ? until - begun : 0;
    const timespec timeout{static_cast<time_t>(left / 1'000'000'000),
                           static_cast<long>(left % 1'000'000'000)};
    const int count = epoll_pwait2(fd_, ready_, 256, &timeout, nullptr);
    must(count >= 0 || errno == EINTR, "epoll_wait");
    return {ready_, count < 0 ? 0 : static_cast<std::size_t>(count)};
}

} // namespace load
