#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "worker.hpp"

namespace examples {

/// The text of `--live`: how the servers stand, and what changed of late.
class live_view {
public:
    using time_point = std::chrono::steady_clock::time_point;

    live_view(std::string title, time_point begun) : title_(std::move(title)), begun_(begun) {}

    /// The page at `now`; `deadline` is that of the drain that is under way.
    std::vector<std::string> page(const standing& stands, time_point now,
                                  std::optional<time_point> deadline);

private:
    struct moment {
        time_point time;
        standing stood;
    };

    void remember(const standing& stands, time_point now);
    [[nodiscard]] double accepts_a_second(const standing& stands, time_point now) const;

    std::string title_;
    time_point begun_;
    std::deque<moment> past_; // the last ten seconds, twice a second
};

} // namespace examples
