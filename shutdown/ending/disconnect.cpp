#include <ringdown/shutdown/ending/disconnect.hpp>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/shutdown/ending/close.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>

namespace ringdown {
namespace {

task<left_open> leave(stream& ended, ending_request request) {
    const connection_ref kept(state_of(ended));
    const bool ours = !kept->ending();
    auto leaving = end_connection(ended, request);
    const teardown_report& report = co_await leaving;
    left_open left{{}, report};
    if (ours) left.descriptor = ending::of(*kept).take_descriptor();
    co_return left;
}

} // namespace

task<left_open> disconnect(stream& ended, ending_policy policy) {
    return leave(ended, {plans::disconnect, teardown_cause::application, policy});
}

task<left_open> abort_disconnect(stream& ended) {
    return leave(ended, {plans::abort_disconnect, teardown_cause::application, {}});
}

task<left_open> release(stream& ended, std::chrono::nanoseconds within) {
    ending_request request;
    request.requested = plans::release;
    request.policy.within = within;
    request.policy.idle = {}; // its one limit is its time
    return leave(ended, request);
}

task<result<peer_end>> recv_disconnect(stream& stream) {
    const connection_ref kept(state_of(stream));
    const auto stopped = co_await stream.shutdown_receive();
    if (!stopped) co_return std::unexpected(stopped.error());
    co_return co_await peer_ended(stream);
}

} // namespace ringdown
