#pragma once

#include <ringdown/ringdown.hpp>

#include "schedule.hpp"
#include "schedule_truth.hpp"

namespace schedules {

/// One schedule of a connection on which the application calls whatever there is, and ends it in
/// any way, within any limits, once or twice. Complaints go to `seen`.
ringdown::task<void> run_any(ringdown::loop& loop, ringdown::stream peer, const options& what,
                             traffic& seen, const ringdown::sim_kernel& kernel);

} // namespace schedules
