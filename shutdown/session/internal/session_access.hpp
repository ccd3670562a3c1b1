#pragma once

#include <ringdown/shutdown/session/session.hpp>

namespace ringdown {

/// The way from a session to the state block of its connection, for what is built on sessions.
struct session_access {
    static connection& state(const session& handle) noexcept {
        return handle.shared()->connection_of();
    }
};

inline connection& state_of(const session& handle) noexcept {
    return session_access::state(handle);
}

} // namespace ringdown
