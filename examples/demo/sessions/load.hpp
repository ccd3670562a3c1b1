#pragma once

#include "client.hpp"

#include <memory>
#include <vector>

namespace ringdown_demo {

/// Where the sessions stand.
struct session_counts {
    std::size_t sessions = 0;
    std::size_t over = 0;
    std::uint64_t sent = 0;
    std::uint64_t answered = 0;
};

/// All clients of sessions, in one loop of its own.
class session_load {
public:
    /// Connects them all; those that do something do it within `acting` from now.
    session_load(std::size_t sessions, clock::duration acting, const sockaddr_in& server,
                 std::uint64_t seed);

    /// Lets the clients act, for at most `limit`.
    void run_for(std::chrono::milliseconds limit);
    [[nodiscard]] session_counts counts() const;
    [[nodiscard]] const std::vector<session_record>& records() const { return records_; }

private:
    std::vector<session_record> records_; ///< sized once: clients hold references into it
    std::vector<std::unique_ptr<session_client>> clients_;
};

} // namespace ringdown_demo
