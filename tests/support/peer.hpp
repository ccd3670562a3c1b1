#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

#include <ringdown/net/address.hpp>

namespace ringdown::testing {

/// The byte at a place of a test stream: lost, repeated and swapped bytes show.
constexpr std::byte pattern_at(std::uint64_t place) noexcept {
    return static_cast<std::byte>(place ^ (place >> 8) * 7 ^ (place >> 16) * 13);
}

/// `bytes` of the pattern, from `first` on.
std::vector<std::byte> pattern(std::uint64_t bytes, std::uint64_t first = 0);
bool is_pattern(std::span<const std::byte> bytes, std::uint64_t first) noexcept;

/// What a peer read until its stream ended or failed.
struct peer_reading {
    std::uint64_t bytes = 0;
    bool intact = true;    ///< Every byte was the pattern's.
    bool finished = false; ///< It ended with FIN.
    int error = 0;         ///< Or with this errno.
};

/// The other end of a connection under test: a plain blocking socket, no part of the library.
///
/// Waits at most ten seconds for anything. What it is asked to do on loopback has happened when
/// the call returns, so most scripts need no thread.
class peer {
public:
    peer() = default;
    explicit peer(int fd);
    peer(peer&& other) noexcept;
    peer& operator=(peer&& other) noexcept;
    ~peer() { close(); }

    [[nodiscard]] int descriptor() const noexcept { return fd_; }

    /// Answers how many bytes were taken before an error, which `last_error` then tells.
    std::uint64_t write(std::string_view text);
    std::uint64_t write_pattern(std::uint64_t bytes);
    /// The same, as far as the kernel takes it without waiting.
    std::uint64_t write_what_fits(std::uint64_t bytes);
    [[nodiscard]] int last_error() const noexcept { return error_; }

    /// Reads once, at most `most` bytes; empty at the end of the stream and on errors.
    std::string read(std::size_t most = 65536);
    /// Reads the pattern until FIN, an error, or `most` bytes in this call.
    peer_reading read_to_end(std::uint64_t most = std::numeric_limits<std::uint64_t>::max());

    void finish();  ///< FIN.
    void reset();   ///< RST, by linger {1, 0} and close.
    void close();   ///< A plain close.
    void go_deaf(); ///< Drops every segment that arrives from now on, so nothing is answered.
    void hear();    ///< Takes `go_deaf` back.

    /// Payload that arrived at this side's kernel, read or not.
    [[nodiscard]] std::uint64_t arrived() const;
    /// Payload that the kernel holds and nobody has read.
    [[nodiscard]] std::uint64_t unread() const;
    /// Waits until no more is arriving: the window is closed or the sender idle.
    std::uint64_t arrived_at_rest() const;
    [[nodiscard]] int tcp_state() const;
    [[nodiscard]] address local() const;

private:
    void set_linger(bool on);

    int fd_ = -1;
    int error_ = 0;
    bool deaf_ = false;
    std::uint64_t written_ = 0;
    std::atomic<std::uint64_t> read_ = 0;
};

struct pair_options {
    bool ipv6 = false;
    bool we_connect = false;      ///< Our side connects; else it accepts.
    int our_send_buffer = 0;      ///< SO_SNDBUF; 0 leaves it to the kernel.
    int their_receive_buffer = 0; ///< SO_RCVBUF.
    int user_timeout_ms = 0;      ///< TCP_USER_TIMEOUT of our side.
};

struct raw_pair {
    int ours;
    peer theirs;
};

/// Two connected sockets over loopback.
/// @{
raw_pair tcp_pair(const pair_options& options = {});
raw_pair unix_pair();
/// @}

/// A listening socket that the library connects to.
class peer_listener {
public:
    explicit peer_listener(bool ipv6 = false, int receive_buffer = 0);
    peer_listener(const peer_listener&) = delete;
    peer_listener& operator=(const peer_listener&) = delete;
    ~peer_listener();

    [[nodiscard]] address local() const;
    [[nodiscard]] int accept_descriptor();
    [[nodiscard]] peer accept() { return peer(accept_descriptor()); }
    void go_deaf(); ///< Answers no SYN from now on.

private:
    int fd_;
};

/// Connects to where the library listens. `receive_buffer` is set first, as it bounds the window.
peer connect_peer(const address& to, int receive_buffer = 0);

} // namespace ringdown::testing
