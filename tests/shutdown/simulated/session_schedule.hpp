#pragma once

#include <ringdown/ringdown.hpp>

#include "schedule.hpp"
#include "schedule_truth.hpp"

namespace schedules {

/// One schedule of a session over `peer`, in the role that `what` names: requests in progress, an
/// end that either side begins. Complaints go to `seen`.
ringdown::task<void> run_session(ringdown::loop& on, ringdown::stream peer, const options& what,
                                 traffic& seen, const ringdown::sim_kernel& kernel);

} // namespace schedules
