#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <ringdown/runtime/system_calls.hpp>

namespace ringdown::sim {

using time_point = system_calls::time_point;
using duration = time_point::duration;

/// What everything simulated shares: a virtual clock with the events to come, the seed's dice, and
/// the list of what the library did wrong.
class world {
public:
    explicit world(std::uint64_t seed) : dice_(seed) {}

    [[nodiscard]] time_point now() const noexcept { return now_; }
    void after(duration wait, std::function<void()> event) { at(now_ + wait, std::move(event)); }
    void at(time_point when, std::function<void()> event) {
        events_.emplace(std::max(when, now_), std::move(event));
    }
    [[nodiscard]] std::optional<time_point> next() const {
        return events_.empty() ? std::nullopt : std::optional(events_.begin()->first);
    }
    /// Moves the clock on, through every event that is due by then.
    void advance_to(time_point until) {
        while (!events_.empty() && events_.begin()->first <= until) {
            auto event = events_.extract(events_.begin());
            now_ = std::max(now_, event.key()); // an event may itself have moved it
            event.mapped()();
        }
        now_ = std::max(now_, until);
    }

    [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return limit ? dice_() % limit : 0; }
    /// Decides whether something inconvenient happens; never while the world is calm.
    [[nodiscard]] bool one_in(std::uint64_t odds) { return disturbed && below(odds) == 0; }
    [[nodiscard]] duration up_to(duration most) {
        return duration(disturbed ? below(static_cast<std::uint64_t>(most.count()) + 1) : 0);
    }

    void violation(std::string what) { violations.push_back(std::move(what)); }

    bool disturbed = false;
    std::vector<std::string> violations;

private:
    time_point now_ = time_point(std::chrono::hours(1));
    std::multimap<time_point, std::function<void()>> events_;
    std::mt19937_64 dice_;
};

/// One direction of a network: delivers in order, each thing after the latency or somewhat more.
class wire {
public:
    wire(world& in, duration latency) : world_(in), latency_(latency) {}
    void carry(std::function<void()> arrival) {
        last_ = std::max(last_, world_.now() + latency_ + world_.up_to(latency_));
        world_.at(last_, std::move(arrival));
    }

private:
    world& world_;
    duration latency_;
    time_point last_{};
};

} // namespace ringdown::sim
