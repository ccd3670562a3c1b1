#pragma once

#include <optional>

#include <ringdown/net/address.hpp>
#include <ringdown/runtime/operation.hpp>
#include <ringdown/runtime/uapi.hpp>

namespace ringdown {

namespace operations {

/// SO_PEERNAME, which answers for a peer that is gone where getpeername(2) no longer does.
/// The kernel reports the true size nowhere for a ring command, so the family decides.
struct peer_name {
    static constexpr const char* name = "peername";

    int fd;
    address* into;

    void prepare(io_uring_sqe& sqe) const noexcept {
        uapi::prepare_socket_option(sqe, uapi::socket_getsockopt, fd, SOL_SOCKET,
                                    uapi::so_peername, into->data(), address::capacity);
    }
};

}  // namespace operations

/// The same in place.
inline address peer_name(system& calls, int fd) noexcept {
    address peer;
    socklen_t bytes = address::capacity;
    if (calls.getsockopt(fd, SOL_SOCKET, uapi::so_peername, peer.data(), &bytes) < 0) return {};
    peer.resize(bytes);
    return peer;
}

}  // namespace ringdown
