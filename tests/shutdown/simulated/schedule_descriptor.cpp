#include "schedule_descriptor.hpp"

namespace schedules {

using namespace ringdown;

task<void> hold_descriptor(left_open left, bool began, std::chrono::nanoseconds time, traffic& seen,
                           const sim_kernel& kernel) {
    if (!left.descriptor) {
        if (began && !seen.reset_refused) seen.complaints.push_back("no descriptor was left");
        co_return;
    }
    if (!began) seen.complaints.push_back("a descriptor was left to one who did not begin");
    const sim_truth before = kernel.truth(seen.connection);
    seen.left = before;
    co_await sleep_for(time);
    const sim_truth& after = kernel.truth(seen.connection);
    if (after.taken != before.taken || after.accepted != before.accepted || after.closed)
        seen.complaints.push_back("a descriptor that was handed out is still in use");
}

} // namespace schedules
