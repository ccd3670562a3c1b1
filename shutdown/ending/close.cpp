#include <ringdown/shutdown/ending/close.hpp>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>

namespace ringdown {

bool ending_operation::state::wait(std::coroutine_handle<> task, strand* strand) {
    if (!begin()) return false;
    join();
    if (!suspend(task, strand)) {
        suspend_uncancellable(task, strand);
        cancel(cancel_reason::scope);
    }
    return true;
}

// False when the connection has ended already.
bool ending_operation::state::begin() {
    connection& connection = *ended_;
    if (!connection.ending() && form_ != form::watch)
        ending::begin(connection, request_);
    else if (form_ == form::abort)
        ending::of(connection).abort(request_.cause);
    report_ = ending::report_of(connection);
    return !report_;
}

void ending_operation::state::join() {
    ended_->follow(*this);
    if (form_ != form::watch) ending::of(*ended_).join();
}

void ending_operation::state::cancel(cancel_reason) noexcept {
    if (form_ != form::watch) ending::of(*ended_).leave();
}

ending_operation end(connected_socket& ended, const ending_plan& plan,
                     const ending_policy& policy) {
    return end_connection(ended, {plan, teardown_cause::application, policy});
}

ending_operation end(connected_socket& ended, const ending_plan& plan) {
    return end(ended, plan, {});
}

ending_operation graceful_close(connected_socket& ended, const ending_policy& policy) {
    return end(ended, plans::graceful, policy);
}

// Two functions, because a default argument would take room in the frame of each coroutine that
// calls.
ending_operation graceful_close(connected_socket& ended) { return graceful_close(ended, {}); }

ending_operation abort_close(connected_socket& ended) { return end(ended, plans::abort); }

ending_operation end_connection(connected_socket& ended, const ending_request& request) {
    return {state_of(ended), request,
            request.requested.flushes ? ending_operation::form::graceful
                                      : ending_operation::form::abort};
}

void begin_ending(connected_socket& ended, const ending_request& request) {
    connection& connection = state_of(ended);
    if (!connection.ending()) ending::begin(connection, request);
}

ending_operation close(datagram_socket& closed) {
    return {state_of(closed),
            {plans::unasked, teardown_cause::application, {}},
            ending_operation::form::abort};
}

ending_operation ended(socket_handle& watched) {
    return {state_of(watched), {}, ending_operation::form::watch};
}

task<std::optional<teardown_report>> close(connected_socket& ended, lingering how) {
    ending_request request;
    request.requested = how.plan();
    request.policy.within = how.within();
    // The classic closes know one limit, their time.
    request.policy.idle = std::chrono::nanoseconds::max();
    request.policy.discard_bytes_max = std::numeric_limits<std::uint64_t>::max();
    if (how.plan().in_background) {
        begin_ending(ended, request);
        co_return std::nullopt;
    }
    auto closing = end_connection(ended, request);
    const teardown_report& report = co_await closing;
    co_return report;
}

} // namespace ringdown
