#pragma once

#include <cstdint>
#include <filesystem>

namespace ringdown_demo {

struct session_run_options {
    std::size_t sessions = 0;
    std::uint64_t seed = 0;
    std::filesystem::path server;
    std::filesystem::path keep; ///< where the server's lines stay; empty: only after a failure
};

/// Starts a server of sessions, keeps requests in progress on them, drains it in the middle of
/// that, verifies and prints everything. True if both sides agree on every session.
[[nodiscard]] bool run_sessions(const session_run_options& options);

} // namespace ringdown_demo
