#pragma once

#include <ringdown/net/socket_handle.hpp>

namespace ringdown {

/// The way from a handle to its state block, for what is built on sockets.
struct handle_access {
    static connection& state(const socket_handle& handle) noexcept { return handle.state(); }
};

inline connection& state_of(const socket_handle& handle) noexcept {
    return handle_access::state(handle);
}

} // namespace ringdown
