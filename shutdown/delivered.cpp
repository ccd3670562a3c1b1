#include <ringdown/shutdown/delivered.hpp>

#include <algorithm>
#include <chrono>

#include <ringdown/runtime/sleep.hpp>
#include <ringdown/shutdown/delivery_sample.hpp>

namespace ringdown {

using namespace std::chrono_literals;

task<result<void>> delivered(stream& watched) {
    const connection_ref kept(watched.connection_of());
    connection& of = *kept;
    for (auto interval = std::chrono::microseconds(200);; interval = std::min(interval * 2, 10000us)) {
        if (of.life() != life_phase::open)
            co_return std::unexpected(make_error_code(errc::ending));
        const bool handed_over = of.sends().empty();
        const delivery_sample sample = take_sample(of);
        if (of.end_errno() != 0) co_return std::unexpected(of.error_of(-of.end_errno()));
        if (handed_over && sample.taken && sample.queued == 0) co_return result<void>{};
        const auto slept = co_await sleep_for(of.on(), interval);
        if (!slept) co_return std::unexpected(slept.error());
    }
}

}  // namespace ringdown
