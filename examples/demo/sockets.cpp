#include "sockets.hpp"

#include <array>
#include <charconv>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ringdown_demo {

namespace {

// Below the ephemeral ports of most systems and above what services use.
constexpr std::uint32_t first_port = 12'000;
constexpr std::uint32_t ports_per_address = 20'000;

} // namespace

descriptor& descriptor::operator=(descriptor&& other) noexcept {
    if (this != &other) {
        close();
        fd_ = other.release();
    }
    return *this;
}

int descriptor::release() { return std::exchange(fd_, -1); }

void descriptor::close() {
    if (is_open()) {
        ::close(release());
    }
}

source_addresses::source_addresses(std::uint64_t seed) {
    // All of 127/8 is this host. 127.0.x is left to everybody else.
    const auto second = 1 + static_cast<std::uint32_t>(seed % 254);
    const auto third = static_cast<std::uint32_t>(seed / 254 % 256);
    network_ = (127U << 24) | (second << 16) | (third << 8);
}

sockaddr_in source_addresses::next() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(network_ + 1 + used_ / ports_per_address);
    address.sin_port = htons(static_cast<std::uint16_t>(first_port + used_ % ports_per_address));
    ++used_;
    return address;
}

std::optional<sockaddr_in> parse_address(const std::string& text) {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos) {
        return std::nullopt;
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    std::uint16_t port = 0;
    const auto* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, port);
    if (error != std::errc{} || stop != end ||
        inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) {
        return std::nullopt;
    }
    address.sin_port = htons(port);
    return address;
}

std::string to_string(const sockaddr_in& address) {
    std::array<char, INET_ADDRSTRLEN> host{};
    inet_ntop(AF_INET, &address.sin_addr, host.data(), host.size());
    return fmt::format("{}:{}", host.data(), ntohs(address.sin_port));
}

descriptor bound_socket(const sockaddr_in& source, int receive_buffer) {
    descriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) {
        return fd;
    }
    // An earlier run may have left this source address in TIME_WAIT towards another port.
    const int one = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (receive_buffer > 0) {
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0) {
        const int why = errno;
        fd.close();
        errno = why;
    }
    return fd;
}

tcp_state query_state(int fd) {
    tcp_info info{};
    socklen_t size = sizeof info;
    ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    return {.state = info.tcpi_state, .bytes_received = info.tcpi_bytes_received};
}

std::uint64_t unread_bytes(int fd) {
    int bytes = 0;
    ::ioctl(fd, SIOCINQ, &bytes);
    return static_cast<std::uint64_t>(bytes);
}

std::uint64_t unacknowledged_bytes(int fd) {
    int bytes = 0;
    ::ioctl(fd, SIOCOUTQ, &bytes);
    return static_cast<std::uint64_t>(bytes);
}

int take_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

void reset_on_close(int fd) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

bool stop_arrivals(int fd, pass what) {
    // A socket's filter sees a TCP segment from its header on; byte 13 holds the flags, 4 is RST.
    std::array<sock_filter, 4> only_resets{{{BPF_LD | BPF_B | BPF_ABS, 0, 0, 13},
                                            {BPF_JMP | BPF_JSET | BPF_K, 0, 1, 4},
                                            {BPF_RET | BPF_K, 0, 0, 0xffffffff},
                                            {BPF_RET | BPF_K, 0, 0, 0}}};
    sock_filter none{BPF_RET | BPF_K, 0, 0, 0};
    const sock_fprog program =
        what == pass::resets ? sock_fprog{.len = only_resets.size(), .filter = only_resets.data()}
                             : sock_fprog{.len = 1, .filter = &none};
    return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

} // namespace ringdown_demo
