#include <ringdown/shutdown/ending/delivered.hpp>

#include <algorithm>
#include <chrono>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/sleep.hpp>
#include <ringdown/shutdown/ending/internal/sampling.hpp>

namespace ringdown {

using namespace std::chrono_literals;

namespace {

bool all_arrived(connection& connection, const delivery_sample& sample) noexcept {
    if (!sample.taken || !connection.all_sent()) return false;
    if (!connection.traits().counts_acknowledgements) return sample.queued == 0;
    const bool fin_sent = connection.sending() >= sending_phase::fin_sent;
    return sample.acknowledged >= connection.wire_sent() + (fin_sent ? 1 : 0);
}

} // namespace

task<result<void>> delivered(connected_socket& watched) {
    const connection_ref kept(state_of(watched));
    connection& connection = *kept;
    for (auto interval = std::chrono::microseconds(200);;
         interval = std::min(interval * 2, 10000us)) {
        if (connection.life() != life_phase::open)
            co_return std::unexpected(make_error_code(errc::ending));
        const delivery_sample sample = take_sample(connection);
        if (connection.end_errno() != 0)
            co_return std::unexpected(connection.error_of(-connection.end_errno()));
        if (all_arrived(connection, sample)) {
            // A receive may have been told of a reset that emptied the queue: it is heard first.
            if (!connection.traits().counts_acknowledgements) co_await noop();
            if (connection.end_errno() == 0) co_return result<void>{};
            co_return std::unexpected(connection.error_of(-connection.end_errno()));
        }
        const auto slept = co_await sleep_for(interval);
        if (!slept) co_return std::unexpected(slept.error());
    }
}

} // namespace ringdown
