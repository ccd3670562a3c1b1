#pragma once

#include "client.hpp"

#include "../report.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace ringdown_demo {

/// What the server says of one session.
struct session_said {
    std::string line; ///< the JSON itself, to be shown
    std::string peer;
    std::string began;
    std::string peer_end;
    std::uint64_t requests = 0;
    std::uint64_t answered = 0;
    std::uint64_t canceled = 0;
    std::uint64_t dropped = 0;
    report connection;
};

/// The server's last line.
struct session_totals {
    std::uint64_t sessions = 0;
    std::uint64_t requests = 0;
    std::uint64_t answered = 0;
    std::uint64_t canceled = 0;
    std::uint64_t dropped = 0;
    server_totals connections;
};

struct session_times {
    clock::time_point drained;             ///< SIGTERM was sent
    clock::time_point ended;               ///< the server was gone
    std::chrono::milliseconds deadline{0}; ///< of the drain
};

struct session_verification {
    std::vector<session_said> lines;       ///< in the order of the file
    std::vector<const session_said*> said; ///< by record, or null
    std::vector<std::string> failures;
    session_totals totals;
};

/// Holds what the server says of its sessions against what their clients saw.
[[nodiscard]] session_verification verify_sessions(const std::vector<session_record>& records,
                                                   const std::filesystem::path& file,
                                                   const std::string& totals_line,
                                                   const session_times& times);

/// What one session's two sides disagree on.
[[nodiscard]] std::vector<std::string>
disagreements(const session_record& seen, const session_said& said, const session_times& times);

} // namespace ringdown_demo
