#pragma once

#include <ringdown/ringdown.hpp>

#include "schedule_truth.hpp"

namespace schedules {

/// Keeps a descriptor that an ending has left open for a while: it is the application's, and the
/// library touches it no more, and neither do operations that it forgot. Only who has begun the
/// ending gets one.
ringdown::task<void> hold_descriptor(ringdown::left_open left, bool began,
                                     std::chrono::nanoseconds time, traffic& seen,
                                     const ringdown::sim_kernel& kernel);

} // namespace schedules
