#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <netinet/in.h>

namespace ringdown_demo {

/// Owns a file descriptor.
class descriptor {
public:
    descriptor() = default;
    explicit descriptor(int fd) : fd_(fd) {}
    descriptor(descriptor&& other) noexcept : fd_(other.release()) {}
    descriptor& operator=(descriptor&& other) noexcept;
    ~descriptor() { close(); }

    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] bool is_open() const { return fd_ >= 0; }
    int release();
    void close();

private:
    int fd_ = -1; ///< -1: none
};

/// Hands out source addresses that no other connection of this run has: a port of a loopback
/// address that the run has for itself, each once.
class source_addresses {
public:
    explicit source_addresses(std::uint64_t seed);
    [[nodiscard]] sockaddr_in next();

private:
    std::uint32_t network_;  ///< 127.a.b.0, host order
    std::uint32_t used_ = 0; ///< addresses handed out
};

/// Reads `HOST:PORT` with a numeric IPv4 host.
[[nodiscard]] std::optional<sockaddr_in> parse_address(const std::string& text);
[[nodiscard]] std::string to_string(const sockaddr_in& address);

/// A non-blocking TCP socket bound to `source`, or one that is not open (errno says why).
[[nodiscard]] descriptor bound_socket(const sockaddr_in& source, int receive_buffer);

/// What TCP_INFO tells, as far as it is wanted here.
struct tcp_state {
    int state = 0;                    ///< TCP_ESTABLISHED and so on
    std::uint64_t bytes_received = 0; ///< in order; FIN counts as one more
};

[[nodiscard]] tcp_state query_state(int fd);
/// Bytes received and not read (SIOCINQ).
[[nodiscard]] std::uint64_t unread_bytes(int fd);
/// Bytes written and not acknowledged by the server's kernel; FIN counts as one more (SIOCOUTQ).
[[nodiscard]] std::uint64_t unacknowledged_bytes(int fd);
/// The socket's pending error, which is cleared by asking (SO_ERROR).
[[nodiscard]] int take_error(int fd);

/// Makes close(2) send RST.
void reset_on_close(int fd);

/// Stops the arrival of data: from now on the socket's filter drops every segment, or every one
/// without RST. A segment that had passed the filter already is in the queue once a grace period
/// is over; see `sealer`.
enum class pass { nothing, resets };
bool stop_arrivals(int fd, pass what);

} // namespace ringdown_demo
