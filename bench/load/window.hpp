#pragma once

#include <cstdint>

#include <nlohmann/json.hpp>

#include "histogram.hpp"
#include "meter.hpp"
#include "options.hpp"
#include "sockets.hpp"

namespace load {

/// What a run of the server, and of the load beside it, has cost.
struct cost {
    usage server_before, server_after, own_before, own_after;
};
void add_cost(nlohmann::ordered_json& made, const cost& paid);

/// How long the load waits for what is due.
inline time_ns patience(const options& given) { return static_cast<time_ns>(given.patience * 1e9); }

/// The time in which is measured: it begins when the warm-up is over.
class window {
public:
    window(const options& given, const meter& server);

    /// The warm-up begins now, and not with the construction.
    void start();

    /// Takes note of the time; samples the server where the window begins and ends. It stays open
    /// until something was done in it, however long that takes.
    void pass(time_ns time);
    [[nodiscard]] bool open() const { return phase_ == phase::measuring; }
    [[nodiscard]] bool over() const { return phase_ == phase::over; }
    [[nodiscard]] time_ns next() const { return phase_ == phase::warming_up ? begin_ : end_; }

    /// One unit of work is done, `units` of what is counted.
    void done(time_ns latency, std::uint64_t units = 1) {
        if (phase_ != phase::measuring) return;
        units_ += units;
        latencies_.add(latency);
    }

    [[nodiscard]] nlohmann::ordered_json report() const;

private:
    enum class phase { warming_up, measuring, over };

    const meter& server_;
    time_ns warm_up_;
    time_ns length_;
    time_ns patience_;
    time_ns begin_ = 0;
    time_ns end_ = 0;
    phase phase_ = phase::warming_up;
    cost cost_;
    time_ns began_ = 0;
    time_ns ended_ = 0;
    std::uint64_t units_ = 0;
    histogram latencies_;
};

nlohmann::ordered_json to_json(const histogram& latencies);

} // namespace load
