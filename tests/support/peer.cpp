#include "peer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace ringdown::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t chunk = 64 * 1024;

int checked(int returned, const char* what) {
    if (returned < 0) throw std::system_error(errno, std::system_category(), what);
    return returned;
}

address local_of(int fd) {
    address name;
    socklen_t bytes = address::capacity;
    checked(::getsockname(fd, name.data(), &bytes), "getsockname");
    name.resize(bytes);
    return name;
}

// The loop shares its thread with most scripts, and the kernel interrupts that thread to run a
// ring's work; with a timeout on the socket it does not start the call again by itself.
template <class Call>
auto uninterrupted(Call call) {
    for (;;)
        if (const auto returned = call(); returned >= 0 || errno != EINTR) return returned;
}

// Among 256 places that begin at a multiple of that only the lowest bits differ, so each of the
// pattern's pieces is in one of 256 rows: much quicker than byte by byte, without optimisation.
std::span<const std::byte> pattern_piece(std::uint64_t first, std::uint64_t most) noexcept {
    using row = std::array<std::byte, 256>;
    static const auto rows = [] {
        std::array<row, 256> made{};
        for (std::size_t i = 0; i < 256; ++i)
            for (std::size_t j = 0; j < 256; ++j)
                made[i][j] = static_cast<std::byte>(i ^ j);
        return made;
    }();
    const std::uint64_t place = first % 256;
    const row& of = rows[static_cast<std::size_t>(pattern_at(first - place))];
    return std::span(of).subspan(place, std::min<std::uint64_t>(most, 256 - place));
}

// Drops what arrives with fewer hops left. No packet of this machine has 255, so that drops all; an
// attached filter would as well, but takes CAP_NET_ADMIN on newer kernels.
void take_hops_of_at_least(int fd, int hops) {
    sockaddr_storage name{};
    socklen_t bytes = sizeof name;
    checked(::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &bytes), "getsockname");
    const bool ipv6 = name.ss_family == AF_INET6;
    checked(::setsockopt(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_MINHOPCOUNT : IP_MINTTL,
                         &hops, sizeof hops),
            "IP_MINTTL");
}

void set_number(int fd, int level, int option, int value) {
    if (value != 0) checked(::setsockopt(fd, level, option, &value, sizeof value), "setsockopt");
}

} // namespace

std::vector<std::byte> pattern(std::uint64_t bytes, std::uint64_t first) {
    std::vector<std::byte> made(bytes);
    for (std::uint64_t done = 0; done < bytes;) {
        const auto piece = pattern_piece(first + done, bytes - done);
        std::memcpy(made.data() + done, piece.data(), piece.size());
        done += piece.size();
    }
    return made;
}

bool is_pattern(std::span<const std::byte> bytes, std::uint64_t first) noexcept {
    while (!bytes.empty()) {
        const auto piece = pattern_piece(first, bytes.size());
        if (std::memcmp(bytes.data(), piece.data(), piece.size()) != 0) return false;
        bytes = bytes.subspan(piece.size());
        first += piece.size();
    }
    return true;
}

peer::peer(int fd) : fd_(fd) {
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

peer::peer(peer&& other) noexcept { *this = std::move(other); }

peer& peer::operator=(peer&& other) noexcept {
    if (this == &other) return *this;
    close();
    fd_ = std::exchange(other.fd_, -1);
    error_ = other.error_;
    deaf_ = other.deaf_;
    written_ = other.written_;
    read_ = other.read_.load();
    return *this;
}

std::uint64_t peer::write(std::string_view text) {
    std::uint64_t taken = 0;
    while (taken < text.size()) {
        const ssize_t n = uninterrupted(
            [&] { return ::send(fd_, text.data() + taken, text.size() - taken, MSG_NOSIGNAL); });
        if (n < 0) {
            error_ = errno;
            break;
        }
        taken += static_cast<std::uint64_t>(n);
    }
    written_ += taken;
    return taken;
}

std::uint64_t peer::write_pattern(std::uint64_t bytes) {
    std::uint64_t taken = 0;
    while (taken < bytes) {
        const auto some = pattern(std::min<std::uint64_t>(bytes - taken, chunk), written_);
        const auto n = write({reinterpret_cast<const char*>(some.data()), some.size()});
        taken += n;
        if (n < some.size()) break;
    }
    return taken;
}

std::uint64_t peer::write_what_fits(std::uint64_t bytes) {
    std::uint64_t taken = 0;
    while (taken < bytes) {
        const auto some = pattern(std::min<std::uint64_t>(bytes - taken, 1 << 20), written_);
        const ssize_t n = ::send(fd_, some.data(), some.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            error_ = errno;
            break;
        }
        taken += static_cast<std::uint64_t>(n);
        written_ += static_cast<std::uint64_t>(n);
    }
    return taken;
}

std::string peer::read(std::size_t most) {
    std::string got(most, '\0');
    const ssize_t n = uninterrupted([&] { return ::recv(fd_, got.data(), most, 0); });
    if (n < 0) error_ = errno;
    got.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    read_ += got.size();
    return got;
}

peer_reading peer::read_to_end(std::uint64_t most) {
    peer_reading seen;
    std::vector<std::byte> into(chunk);
    while (seen.bytes < most) {
        const auto room = std::min<std::uint64_t>(into.size(), most - seen.bytes);
        const ssize_t n = uninterrupted([&] { return ::recv(fd_, into.data(), room, 0); });
        if (n < 0) seen.error = error_ = errno;
        seen.finished = n == 0;
        if (n <= 0) break;
        const auto got = static_cast<std::size_t>(n);
        seen.intact = seen.intact && is_pattern({into.data(), got}, read_);
        seen.bytes += got;
        read_ += got;
    }
    return seen;
}

void peer::finish() { ::shutdown(fd_, SHUT_WR); }

void peer::set_linger(bool on) {
    const linger how{.l_onoff = on, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &how, sizeof how);
}

void peer::reset() {
    if (fd_ < 0) return;
    set_linger(true);
    ::close(std::exchange(fd_, -1));
}

void peer::close() {
    if (fd_ < 0) return;
    // A deaf socket would go on by itself for minutes after its close.
    if (deaf_) set_linger(true);
    ::close(std::exchange(fd_, -1));
}

void peer::go_deaf() {
    take_hops_of_at_least(fd_, 255);
    deaf_ = true;
}

void peer::hear() {
    take_hops_of_at_least(fd_, 0);
    deaf_ = false;
}

std::uint64_t peer::unread() const {
    int queued = 0;
    checked(::ioctl(fd_, SIOCINQ, &queued), "SIOCINQ");
    return static_cast<std::uint64_t>(queued);
}

std::uint64_t peer::arrived() const { return read_ + unread(); }

std::uint64_t peer::arrived_at_rest() const {
    std::uint64_t before = arrived();
    for (int same = 0, looks = 0; same < 10 && looks < 2000; ++looks) {
        std::this_thread::sleep_for(2ms);
        const std::uint64_t now = arrived();
        same = now == before ? same + 1 : 0;
        before = now;
    }
    return before;
}

int peer::tcp_state() const {
    tcp_info info{};
    socklen_t bytes = sizeof info;
    checked(::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &bytes), "TCP_INFO");
    return info.tcpi_state;
}

address peer::local() const { return local_of(fd_); }

peer_listener::peer_listener(bool ipv6, int receive_buffer)
    : fd_(checked(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")) {
    const address any = address::parse(ipv6 ? "[::1]:0" : "127.0.0.1:0").value();
    set_number(fd_, SOL_SOCKET, SO_RCVBUF, receive_buffer);
    checked(::bind(fd_, any.data(), any.size()), "bind");
    checked(::listen(fd_, 4096), "listen");
}

peer_listener::~peer_listener() { ::close(fd_); }

address peer_listener::local() const { return local_of(fd_); }

void peer_listener::go_deaf() { take_hops_of_at_least(fd_, 255); }

int peer_listener::accept_descriptor() {
    return checked(uninterrupted([&] { return ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC); }),
                   "accept");
}

peer connect_peer(const address& to, int receive_buffer) {
    const int fd = checked(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    set_number(fd, SOL_SOCKET, SO_RCVBUF, receive_buffer);
    checked(::connect(fd, to.data(), to.size()), "connect");
    return peer(fd);
}

raw_pair tcp_pair(const pair_options& options) {
    raw_pair made{-1, {}};
    if (options.we_connect) {
        peer_listener at(options.ipv6, options.their_receive_buffer);
        const address to = at.local();
        made.ours = checked(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
        checked(::connect(made.ours, to.data(), to.size()), "connect");
        made.theirs = at.accept();
    } else {
        peer_listener at(options.ipv6);
        made.theirs = connect_peer(at.local(), options.their_receive_buffer);
        made.ours = at.accept_descriptor();
    }
    set_number(made.ours, SOL_SOCKET, SO_SNDBUF, options.our_send_buffer);
    set_number(made.ours, IPPROTO_TCP, TCP_USER_TIMEOUT, options.user_timeout_ms);
    return made;
}

raw_pair unix_pair() {
    int ends[2];
    checked(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
    return {ends[0], peer(ends[1])};
}

} // namespace ringdown::testing
