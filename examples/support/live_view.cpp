#include "live_view.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>

#include <fmt/format.h>

namespace examples {

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

constexpr auto window = 10s;
constexpr auto between_moments = 500ms;

double in_seconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

std::string grouped(std::uint64_t number) {
    std::string text = std::to_string(number);
    for (std::size_t place = text.size(); place > 3; place -= 3)
        text.insert(place - 3, ",");
    return text;
}

std::string size(std::uint64_t bytes) {
    if (bytes < 10'000) return grouped(bytes);
    double value = static_cast<double>(bytes);
    for (const char* unit : {"KiB", "MiB", "GiB"}) {
        value /= 1024;
        if (value < 10'000) return fmt::format("{:.1f} {}", value, unit);
    }
    return fmt::format("{:.1f} TiB", value / 1024);
}

std::string quantile(const time_histogram& histogram, double part) {
    const auto time = histogram.quantile(part);
    if (!time) return "-";
    const double ms = static_cast<double>(time->count()) / 1000;
    return ms < 10 ? fmt::format("{:.2f} ms", ms) : fmt::format("{:.0f} ms", ms);
}

std::string quantiles(std::string_view when, const time_histogram& histogram) {
    return fmt::format("  {:<14} p50 {:>9}   p99 {:>9}   {} ended", when, quantile(histogram, 0.5),
                       quantile(histogram, 0.99), grouped(histogram.count()));
}

// The values of an enumeration with their counts, or those from one up to another.
template <class Value, class Counts>
std::string counted(std::string_view what, const Counts& counts, std::size_t first = 0,
                    std::size_t last = std::tuple_size_v<Counts>) {
    std::string line = fmt::format("{:<14}", what);
    for (std::size_t i = first; i < last; ++i)
        line += fmt::format("  {} {}", name(static_cast<Value>(i)), grouped(counts[i]));
    return line;
}

std::string printable(std::string text) {
    std::ranges::replace_if(text, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
    return text;
}

} // namespace

void live_view::remember(const standing& stands, time_point now) {
    if (!past_.empty() && now - past_.back().time < between_moments) return;
    past_.push_back({now, stands});
    // The first one left is the last that is at least as old as the window.
    while (past_.size() > 1 && past_[1].time + window <= now)
        past_.pop_front();
}

double live_view::accepts_a_second(const standing& stands, time_point now) const {
    auto since = past_.rbegin();
    while (std::next(since) != past_.rend() && since->time + 1s > now)
        ++since;
    const double took = in_seconds(now - since->time);
    return took > 0 ? static_cast<double>(stands.accepts - since->stood.accepts) / took : 0;
}

std::vector<std::string> live_view::page(const standing& stands, time_point now,
                                         std::optional<time_point> deadline) {
    remember(stands, now);
    teardown_counters late = stands.counters;
    late.subtract(past_.front().stood.counters);

    std::string phase(name(stands.phase));
    if (stands.draining() && deadline)
        phase +=
            fmt::format(", {:.1f} s to the deadline", std::max(0.0, in_seconds(*deadline - now)));
    const auto& bytes = stands.counters.bytes;
    return {
        printable(title_),
        fmt::format("{:<14}  {}   for {:.0f} s", "phase", phase, in_seconds(now - begun_)),
        "",
        fmt::format("{:<14}  {}", "connections", grouped(stands.open)),
        counted<connection_activity>("", stands.by_activity, 0, 4),
        counted<connection_activity>("", stands.by_activity, 4),
        fmt::format("{:<14}  {}   {:.1f}/s", "accepts", grouped(stands.accepts),
                    accepts_a_second(stands, now)),
        "",
        counted<actual_ending>("endings", stands.counters.by_ending),
        counted<delivery_verdict>("delivery", stands.counters.by_delivery),
        fmt::format("{:<14}  sent {}  unsent {}  unacknowledged {}", "bytes", size(bytes.sent),
                    size(bytes.unsent), size(bytes.unacknowledged)),
        fmt::format("{:<14}  received {}  discarded {}", "", size(bytes.received),
                    size(bytes.discarded)),
        "",
        "time to end",
        quantiles("last 10 s", late.microseconds.total),
        quantiles("since start", stands.counters.microseconds.total),
        "",
        printable(stands.notice),
    };
}

} // namespace examples
