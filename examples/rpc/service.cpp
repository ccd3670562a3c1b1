#include "service.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace rpc {

using namespace ringdown;

session_policy service::drain_policy() const {
    session_policy policy{.cause = teardown_cause::drain, .limits = options_.ending};
    // The drain's deadline, and no other: answers that are owed may take all of its time.
    policy.limits.within = std::chrono::hours(24);
    policy.limits.deadline = drain_deadline_;
    return policy;
}

void service::begin_drain(loop::time_point deadline) {
    if (drain_deadline_) return;
    drain_deadline_ = deadline;
    sessions_.begin_shutdown(drain_policy());
    draining_.set();
}

void service::add(session& begun) {
    if (!sessions_.add(begun)) latecomers_.add(begun);
}

void service::add_to(nlohmann::ordered_json& totals) const {
    const auto add = [&](const char* name, std::uint64_t more) {
        totals[name] = totals.value(name, std::uint64_t{0}) + more;
    };
    for (const session_group* each : {&sessions_, &latecomers_}) {
        const session_group_report& report = each->report();
        add("requests", report.requests);
        add("answered", report.answered);
        add("canceled", report.canceled);
        add("dropped", report.dropped);
        add("truncated", report.truncated);
    }
    add("notifications", counts_.notifications);
    add("failed", counts_.failed);
    add("bad_messages", counts_.bad_messages);
    totals["in_progress_most"] = std::max<std::uint64_t>(
        totals.value("in_progress_most", std::uint64_t{0}), counts_.in_progress_most);
}

} // namespace rpc
