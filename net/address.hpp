#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sys/socket.h>
#include <sys/un.h>

#include <ringdown/runtime/error.hpp>

namespace ringdown {

/// Where a socket is bound or connected: IPv4, IPv6, a unix path, or an abstract unix name.
///
/// Written `127.0.0.1:80`, `[::1]:80`, `unix:/run/x.sock`, `unix:@name`; `parse` reads what `text`
/// writes. Names are not resolved.
class address {
public:
    /// An unnamed address of a family, such as a unix peer has.
    explicit address(int family) noexcept;
    /// The unspecified address (AF_UNSPEC), which also stands for an unnamed peer.
    address() noexcept : storage_{}, bytes_(sizeof(sa_family_t)) {}
    address(const sockaddr* from, socklen_t bytes) noexcept;

    /// Errors: `invalid_argument`; `complaint`, if given, then holds one clear line that names the
    /// text and what would be accepted.
    static result<address> parse(std::string_view text, std::string* complaint = nullptr);

    [[nodiscard]] std::string text() const;
    [[nodiscard]] int family() const noexcept { return storage_.any.sa_family; }
    /// The port of an IP address, in host order; 0 for others.
    [[nodiscard]] std::uint16_t port() const noexcept;

    [[nodiscard]] const sockaddr* data() const noexcept { return &storage_.any; }
    [[nodiscard]] sockaddr* data() noexcept { return &storage_.any; }
    [[nodiscard]] socklen_t size() const noexcept { return bytes_; }
    /// For calls that fill an address in: room for the largest, and the size they answer.
    static constexpr socklen_t capacity = sizeof(sockaddr_un);
    void resize(socklen_t bytes) noexcept { bytes_ = bytes; }

    bool operator==(const address& other) const noexcept;

private:
    union {
        sockaddr any;
        sockaddr_un unix_name;
    } storage_;
    socklen_t bytes_;
};

} // namespace ringdown
