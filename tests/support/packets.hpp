#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <ringdown/net/address.hpp>

namespace ringdown::testing {

/// A plain blocking socket that waits at most ten seconds, closed at the end of the block.
class plain_socket {
public:
    explicit plain_socket(int fd);
    plain_socket(plain_socket&& other) noexcept;
    plain_socket& operator=(plain_socket&& other) noexcept;
    ~plain_socket() { close(); }

    [[nodiscard]] int descriptor() const noexcept { return fd_; }
    [[nodiscard]] address local() const;
    void close() noexcept;

private:
    int fd_;
};

/// What one receive of a peer brought: a message, the end of the stream (neither), or an errno.
struct message_reading {
    std::optional<std::string> message;
    int error = 0;
    address sender{};

    [[nodiscard]] bool ended() const noexcept { return !message && error == 0; }
    bool operator==(std::string_view text) const noexcept { return message == text; }
};

/// The other end of a SEQPACKET connection. It knows messages by the sender's credentials, which is
/// not the library's way.
class packet_peer : public plain_socket {
public:
    explicit packet_peer(int fd);

    /// 0 or an errno.
    int send(std::string_view message);
    /// Sends a message with a descriptor of this process.
    int send_with_descriptor(std::string_view message);
    message_reading receive();
    void finish();
};

struct raw_packet_pair {
    int ours;
    packet_peer theirs;
};

/// Two connected SEQPACKET sockets; ours with a send buffer of that size if not 0.
raw_packet_pair packet_pair(int our_send_buffer = 0);

/// A plain UDP socket on the loopback address; a port of 0 is the kernel's choice.
class udp_peer : public plain_socket {
public:
    explicit udp_peer(bool ipv6 = false, std::uint16_t port = 0);

    int send_to(std::string_view data, const address& to);
    message_reading receive();
    /// True if nothing waits to be received.
    [[nodiscard]] bool empty() const;
};

} // namespace ringdown::testing
