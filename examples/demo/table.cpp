#include "table.hpp"

#include "kinds.hpp"
#include "text.hpp"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

namespace ringdown_demo {

namespace {

constexpr std::array<std::string_view, 7> endings{"graceful", "delivered", "degraded", "aborted",
                                                  "reset",    "lost",      "closed"};
constexpr std::array<std::string_view, 3> deliveries{"acknowledged", "unacknowledged", "unknown"};
constexpr std::array<std::string_view, 3> short_deliveries{"acked", "unacked", "unknown"};

struct row {
    std::string name;
    std::uint64_t connections = 0;
    std::map<std::string_view, std::uint64_t> by_ending;
    std::map<std::string_view, std::uint64_t> by_delivery;
    std::uint64_t without_report = 0;
    std::vector<std::uint64_t> microseconds;

    void add(const report* said) {
        ++connections;
        if (said == nullptr) {
            ++without_report;
            return;
        }
        ++by_ending[*std::ranges::find(endings, said->ending)];
        ++by_delivery[*std::ranges::find(deliveries, said->delivery)];
        microseconds.push_back(said->microseconds.total);
    }
};

std::string number(std::uint64_t value) { return value == 0 ? "·" : grouped(value); }

class layout {
public:
    // Only columns that hold something are shown.
    explicit layout(const row& all) {
        std::ranges::copy_if(endings, std::back_inserter(endings_),
                             [&](auto name) { return all.by_ending.contains(name); });
        std::ranges::copy_if(deliveries, std::back_inserter(deliveries_),
                             [&](auto name) { return all.by_delivery.contains(name); });
    }

    [[nodiscard]] std::string header() const {
        std::string group = fmt::format("{:<24}{:>7} │ {:<{}} │ {:<{}} │ {}", "", "", "ending",
                                        9 * (endings_.size() + 1) - 1, "delivery",
                                        9 * deliveries_.size() - 1, "time to end, ms");
        std::string names = fmt::format("{:<24}{:>7} │", "kind of peer", "peers");
        for (const auto name : endings_) {
            names += fmt::format("{:>9}", name);
        }
        names += fmt::format("{:>9} │", "refused");
        for (const auto name : deliveries_) {
            const auto index = std::ranges::find(deliveries, name) - deliveries.begin();
            names += fmt::format("{:>9}", short_deliveries[static_cast<std::size_t>(index)]);
        }
        names += fmt::format(" │{:>8}{:>9}{:>9}", "p50", "p99", "max");
        return group + '\n' + names + '\n';
    }

    [[nodiscard]] std::string line(row shown) const {
        auto text = fmt::format("{:<24}{:>7} │", shown.name, grouped(shown.connections));
        for (const auto name : endings_) {
            text += fmt::format("{:>9}", number(shown.by_ending[name]));
        }
        text += fmt::format("{:>9} │", number(shown.without_report));
        for (const auto name : deliveries_) {
            text += fmt::format("{:>9}", number(shown.by_delivery[name]));
        }
        std::ranges::sort(shown.microseconds);
        const auto quantile = [&](double share) { return milliseconds(shown.microseconds, share); };
        text += fmt::format(" │{:>8}{:>9}{:>9}", quantile(0.5), quantile(0.99), quantile(1));
        return text + '\n';
    }

private:
    std::vector<std::string_view> endings_;
    std::vector<std::string_view> deliveries_;
};

std::string bytes(std::uint64_t count) { return fmt::format("{} bytes", grouped(count)); }

} // namespace

std::string outcome_table(const std::vector<record>& records, const verification& verified) {
    std::vector<row> rows;
    for (const auto& kind : all_kinds()) {
        rows.emplace_back().name = kind.name;
    }
    row all;
    all.name = "all";
    for (std::size_t i = 0; i < records.size(); ++i) {
        rows[records[i].kind].add(verified.said[i]);
        all.add(verified.said[i]);
    }
    const layout columns(all);
    auto text = columns.header();
    for (const auto& shown : rows) {
        text += columns.line(shown);
    }
    return text + columns.line(all);
}

std::string summary(const std::vector<record>& records, const verification& verified,
                    const run_times& times) {
    const auto count = [&](outcome what) {
        return static_cast<std::uint64_t>(std::ranges::count(verified.outcomes, what));
    };
    std::map<std::string_view, std::uint64_t> causes;
    for (const auto& said : verified.reports) {
        ++causes[said.cause];
    }
    std::string by_cause;
    for (const auto& [name, times_named] : causes) {
        by_cause +=
            fmt::format("{}{} {}", by_cause.empty() ? "" : ", ", name, grouped(times_named));
    }
    const auto open_at_drain = std::ranges::count_if(records, [&](const record& seen) {
        return seen.established && seen.connected < times.drained && seen.over >= times.drained &&
               seen.ended != own_end::vanished;
    });
    const auto came_later = std::ranges::count_if(
        records, [&](const record& seen) { return seen.opened >= times.drained; });
    const auto unaccepted = count(outcome::unserved) + count(outcome::before_accept);
    return fmt::format(
        "connections   {} opened, {} with a report, {} refused, {} reset before they were "
        "accepted\n"
        "reports       {} = {} accepts\n"
        "acknowledged  {} claimed by the reports, {} found with the peers\n"
        "causes        {}\n"
        "drain         {:.2f} s; {} connections were open, {} more came\n"
        "left          {} descriptors, {} operations\n",
        grouped(records.size()), grouped(count(outcome::reported)),
        grouped(count(outcome::refused)), grouped(unaccepted), grouped(verified.reports.size()),
        grouped(verified.totals.accepts), bytes(verified.claimed_bytes),
        bytes(verified.heard_bytes), by_cause,
        std::chrono::duration<double>(times.ended - times.drained).count(),
        grouped(static_cast<std::uint64_t>(open_at_drain)),
        grouped(static_cast<std::uint64_t>(came_later)), verified.totals.descriptors_left,
        verified.totals.operations_left);
}

} // namespace ringdown_demo
