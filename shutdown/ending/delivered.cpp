#include <ringdown/shutdown/ending/delivered.hpp>

#include <algorithm>
#include <chrono>

#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/sleep.hpp>
#include <ringdown/shutdown/ending/internal/delivery_sample.hpp>

namespace ringdown {

using namespace std::chrono_literals;

namespace {

bool all_arrived(connection& of, const delivery_sample& sample) noexcept {
    if (!sample.taken || !of.sends().empty()) return false;
    if (!of.traits().counts_acknowledgements) return sample.queued == 0;
    const bool fin_sent = of.sending() >= sending_phase::fin_sent;
    return sample.acknowledged >= of.bytes().sent + (fin_sent ? 1 : 0);
}

} // namespace

task<result<void>> delivered(connected_socket& watched) {
    const connection_ref kept(watched.connection_of());
    connection& of = *kept;
    for (auto interval = std::chrono::microseconds(200);;
         interval = std::min(interval * 2, 10000us)) {
        if (of.life() != life_phase::open) co_return std::unexpected(make_error_code(errc::ending));
        const delivery_sample sample = take_sample(of);
        if (of.end_errno() != 0) co_return std::unexpected(of.error_of(-of.end_errno()));
        if (all_arrived(of, sample)) {
            // A receive may have been told of a reset that emptied the queue: it is heard first.
            if (!of.traits().counts_acknowledgements) co_await noop(of.on());
            if (of.end_errno() == 0) co_return result<void>{};
            co_return std::unexpected(of.error_of(-of.end_errno()));
        }
        const auto slept = co_await sleep_for(of.on(), interval);
        if (!slept) co_return std::unexpected(slept.error());
    }
}

} // namespace ringdown
