#pragma once

#include <array>
#include <utility>

#include <netinet/in.h>

#include <ringdown/net/address.hpp>
#include <ringdown/runtime/internal/uapi.hpp>
#include <ringdown/runtime/operation.hpp>

namespace ringdown {

namespace operations {

/// SO_PEERNAME, which answers for a peer that is gone where getpeername(2) no longer does. As a
/// ring command it completes with the size of the name.
struct peer_name {
    static constexpr const char* name = "peername";

    int fd;
    bool ipv6;
    sockaddr* into;

    // It refuses to fill more than the name has, so the family has to be known.
    [[nodiscard]] socklen_t bytes() const noexcept {
        return ipv6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    }
    void prepare(io_uring_sqe& sqe) const noexcept {
        uapi::prepare_socket_option(sqe, uapi::socket_getsockopt, fd, SOL_SOCKET, uapi::so_peername,
                                    into, bytes());
    }
};

} // namespace operations

/// The same in place, for any family; AF_UNSPEC when there is no peer. The size that is tried first
/// is the one of `likely`: each that does not fit is a call in vain.
inline address peer_name(system_calls& calls, int fd, int likely = AF_INET6) noexcept {
    address peer;
    std::array<socklen_t, 3> sizes{sizeof(sockaddr_in6), sizeof(sockaddr_in), sizeof(sa_family_t)};
    if (likely == AF_INET) std::swap(sizes[0], sizes[1]);
    for (const socklen_t size : sizes) {
        socklen_t bytes = size;
        if (calls.getsockopt(fd, SOL_SOCKET, uapi::so_peername, peer.data(), &bytes) < 0) continue;
        peer.resize(size);
        // Names of unix peers are longer, and clients have none: the family is all that is told.
        return peer.family() == AF_UNIX ? address(AF_UNIX) : peer;
    }
    return {};
}

/// Where a socket is bound; AF_UNSPEC on errors. Source: getsockname(2).
inline address local_name(system_calls& calls, int fd) noexcept {
    address name;
    socklen_t bytes = address::capacity;
    if (calls.getsockname(fd, name.data(), &bytes) >= 0) name.resize(bytes);
    return name;
}

} // namespace ringdown
