#pragma once

#include <chrono>
#include <functional>
#include <list>

#include <ringdown/runtime/signals.hpp>
#include <ringdown/shutdown/ending/policy.hpp>

#include "overseer.hpp"
#include "worker.hpp"

namespace examples {

/// What happens when a signal comes.
struct draining {
    std::chrono::nanoseconds within;
    /// What the endings of idle connections are held to, beside the deadline.
    ringdown::ending_policy limits;
    bool hand_over; ///< The listening socket is someone else's too, who goes on accepting.
    /// Called once on every loop, before its server is drained.
    std::function<void(ringdown::loop&, ringdown::loop::time_point)> on_drain;
};

/// Runs each worker on a thread of its own, the first on this one, until the last has ended; calls
/// `started` when all are there. A signal drains them, a second one aborts what is left.
///
/// Errors: throws, one clear line, when a thread cannot be started; those that run are ended.
void run_all(std::list<worker>& workers, ringdown::signals& asked, const draining& how,
             overseer* watching, const std::function<void()>& started);

} // namespace examples
