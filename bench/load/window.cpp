#include "window.hpp"

#include "failure.hpp"

namespace load {
namespace {

nlohmann::ordered_json difference(const std::optional<std::uint64_t>& after,
                                  const std::optional<std::uint64_t>& before) {
    if (!after || !before) return nullptr;
    return *after - *before;
}

} // namespace

window::window(const options& given, const meter& server)
    : server_(server), warm_up_(static_cast<time_ns>(given.warm_up * 1e9)),
      length_(static_cast<time_ns>(given.seconds * 1e9)), patience_(patience(given)) {
    start();
}

void window::start() {
    phase_ = phase::warming_up;
    begin_ = now() + warm_up_;
    end_ = begin_ + length_;
}

void window::pass(time_ns time) {
    if (phase_ == phase::warming_up && time >= begin_) {
        phase_ = phase::measuring;
        cost_.server_before = server_.read();
        cost_.own_before = meter::read_own();
        began_ = now();
        end_ = began_ + length_;
    } else if (phase_ == phase::measuring && time >= end_) {
        if (latencies_.count() == 0 && time >= began_ + length_ + patience_)
            fail("nothing was done while it was measured");
        end_ = time + length_;
        if (latencies_.count() == 0) return;
        phase_ = phase::over;
        cost_.server_after = server_.read();
        cost_.own_after = meter::read_own();
        ended_ = now();
    }
}

nlohmann::ordered_json to_json(const histogram& latencies) {
    nlohmann::ordered_json made;
    for (const auto& [name, share] :
         {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}})
        made[name] = latencies.quantile(share) / 1000;
    made["max"] = static_cast<double>(latencies.longest()) / 1000;
    made["buckets"] = latencies.filled();
    return made;
}

void add_cost(nlohmann::ordered_json& made, const cost& paid) {
    const auto& [before, after, own_before, own_after] = paid;
    made["cpu_nanoseconds"] = after.cpu_nanoseconds - before.cpu_nanoseconds;
    made["waited_nanoseconds"] = after.waited_nanoseconds - before.waited_nanoseconds;
    made["load_cpu_nanoseconds"] = own_after.cpu_nanoseconds - own_before.cpu_nanoseconds;
    made["load_waited_nanoseconds"] = own_after.waited_nanoseconds - own_before.waited_nanoseconds;
    made["system_calls"] = difference(after.system_calls, before.system_calls);
    made["operations"] = difference(after.operations, before.operations);
    made["punts"] = difference(after.punts, before.punts);
}

nlohmann::ordered_json window::report() const {
    nlohmann::ordered_json made{{"seconds", static_cast<double>(ended_ - began_) / 1e9},
                                {"units", units_},
                                {"latency_microseconds", to_json(latencies_)}};
    add_cost(made, cost_);
    return made;
}

} // namespace load
