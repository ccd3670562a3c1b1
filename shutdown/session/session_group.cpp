#include <ringdown/shutdown/session/session_group.hpp>

#include <algorithm>

#include <ringdown/runtime/internal/assert.hpp>

namespace ringdown {

session_group::~session_group() {
    sessions_.for_each([](session_state& left) { left.set_group(nullptr); });
}

bool session_group::add(session& joining) {
    session_state& state = *joining.shared();
    if (completed_.happened()) {
        state.begin_shutdown_once_served(policy_, first_request_within_);
        return false;
    }
    require(!state.group(), "a session was added to a second group");
    if (state.phase() == session_phase::completed) {
        count(state);
        return true;
    }
    state.set_group(this);
    sessions_.push_back(state);
    ++size_;
    if (ending_) state.begin_shutdown_once_served(policy_, first_request_within_);
    return true;
}

bool session_group::begin_shutdown(const session_policy& policy,
                                   std::chrono::nanoseconds first_request_within) {
    if (ending_) return false;
    ending_ = true;
    policy_ = policy;
    first_request_within_ = first_request_within;
    const auto deadline = later(on_.now(), policy.limits.within);
    policy_.limits.deadline = std::min(deadline, policy.limits.deadline.value_or(deadline));
    // One that completes at once leaves the list while it is visited.
    sessions_.for_each([&](session_state& each) {
        const session_ref kept(each);
        if (!each.begin_shutdown(policy)) each.tighten(policy.limits);
    });
    note_progress();
    return true;
}

void session_group::count(const session_state& completed) noexcept {
    const session_report& report = completed.report();
    ++report_.sessions;
    report_.requests += report.requests;
    report_.answered += report.answered;
    report_.canceled += report.canceled;
    report_.dropped += report.dropped;
    report_.truncated += report.peer == session_peer_end::truncated;
    report_.reset += report.peer == session_peer_end::reset;
    report_.connections.add(report.connection);
}

void session_group::session_completed(session_state& left) noexcept {
    count(left);
    left.list_hook<session_group>::unlink();
    --size_;
    note_progress();
}

void session_group::note_progress() noexcept {
    if (ending_ && size_ == 0) completed_.set();
}

task<result<session_group_report>> session_group::completed() {
    const auto waited = co_await completed_.wait();
    if (!waited) co_return std::unexpected(waited.error());
    co_return report_;
}

task<session_group_report> session_group::join() {
    co_await completed_.join();
    co_return report_;
}

} // namespace ringdown
