#pragma once

#include "peer.hpp"
#include "record.hpp"
#include "sealer.hpp"
#include "sockets.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <queue>
#include <random>
#include <vector>

namespace ringdown_demo {

struct load_plan {
    std::size_t connections = 0;          ///< attempts in all
    std::size_t concurrency = 0;          ///< open at a time, vanished ones apart
    std::chrono::milliseconds opening{0}; ///< the attempts are spread evenly over this time
    std::uint64_t seed = 0;
};

/// Where the load stands.
struct load_counts {
    std::size_t attempted = 0;
    std::size_t established = 0;
    std::size_t open = 0;     ///< connecting or connected
    std::size_t vanished = 0; ///< sockets kept until the server is gone
    std::size_t over = 0;
    std::size_t refused = 0; ///< over without ever having been connected
};

/// Runs all peers in one loop of its own, on epoll.
class load {
public:
    load(const load_plan& plan, const sockaddr_in& server);

    /// Opens what is due and lets the peers act, for at most `limit`.
    void run_for(std::chrono::milliseconds limit);
    [[nodiscard]] const load_counts& counts() const { return counts_; }
    [[nodiscard]] bool all_attempted() const { return counts_.attempted == plan_.connections; }
    /// Whether anything can still happen by itself once the server is gone.
    [[nodiscard]] bool has_talking_peers() const { return counts_.open > connecting_; }
    /// Completes all records; the server must be gone.
    void cut_short();

    [[nodiscard]] const std::vector<record>& records() const { return records_; }
    [[nodiscard]] clock::time_point started() const { return started_; }

private:
    struct timer {
        clock::time_point time;
        std::size_t index = 0;
        friend bool operator>(const timer& a, const timer& b) { return a.time > b.time; }
    };
    struct slot {
        std::unique_ptr<peer> who;                          ///< empty: over, or not opened yet
        clock::time_point armed = clock::time_point::max(); ///< its earliest timer
        bool ready = false;                                 ///< it is in `ready_`
    };

    void open_due();
    void open_one();
    [[nodiscard]] int next_wait(std::chrono::milliseconds limit) const;
    void run_timers();
    void run_ready();
    void take_step(std::size_t index, next_step step);
    void arm(std::size_t index);
    void retire(std::size_t index);

    load_plan plan_;
    sockaddr_in server_;
    clock::time_point started_;
    std::mt19937_64 dice_;
    source_addresses sources_;
    descriptor epoll_;
    sealer sealer_;
    std::vector<record> records_; ///< sized once: peers hold references into it
    std::vector<slot> slots_;     ///< by the number of the attempt
    std::vector<std::size_t> ready_;
    std::priority_queue<timer, std::vector<timer>, std::greater<>> timers_;
    load_counts counts_;
    std::size_t connecting_ = 0;
};

} // namespace ringdown_demo
