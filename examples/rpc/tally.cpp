#include "tally.hpp"

#include <algorithm>
#include <limits>

#include <nlohmann/json.hpp>

namespace rpc {

void tally::note_latency(std::chrono::nanoseconds time) {
    constexpr std::int64_t longest = std::numeric_limits<std::uint32_t>::max();
    latencies_us.push_back(static_cast<std::uint32_t>(std::min(time.count() / 1000, longest)));
}

nlohmann::ordered_json tally::summary() {
    std::ranges::sort(latencies_us);
    const auto quantile = [this](double of_all) -> nlohmann::ordered_json {
        if (latencies_us.empty()) return nullptr;
        const auto last = static_cast<double>(latencies_us.size() - 1);
        return latencies_us[static_cast<std::size_t>(of_all * last)];
    };
    nlohmann::ordered_json line{
        {"calls", calls}, {"answered", answered}, {"failed", failed}, {"canceled", canceled()}};
    line["canceled_because"] = canceled_because.empty() ? nlohmann::ordered_json(nullptr)
                                                        : nlohmann::ordered_json(canceled_because);
    line["latency_us"] = {{"p50", quantile(0.5)},
                          {"p90", quantile(0.9)},
                          {"p99", quantile(0.99)},
                          {"max", quantile(1)}};
    return line;
}

} // namespace rpc
