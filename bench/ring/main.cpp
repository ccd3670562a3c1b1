// What an awaited no-op costs against hand-written liburing, in one run.
#include <algorithm>
#include <cstdio>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "noop.hpp"

namespace {

struct row {
    std::size_t depth;
    std::vector<double> raw;
    std::vector<double> awaited;
    std::vector<double> ratios;
};

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

void progress(int round, int rounds) {
    if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\rround %d of %d ", round, rounds);
    if (isatty(STDERR_FILENO) && round == rounds) std::fprintf(stderr, "\r%*s\r", 24, "");
}

// The two take turns, so that a slow moment of the machine hits both.
void measure(row& into, std::size_t count) {
    into.raw.push_back(bench::raw_noop(into.depth, count));
    into.awaited.push_back(bench::awaited_noop(into.depth, count));
    into.ratios.push_back(into.awaited.back() / into.raw.back());
}

bool print_table(const std::vector<row>& rows, int rounds, double limit) {
    bool within = true;
    std::printf("no-op through the ring, nanoseconds each (median of %d rounds)\n\n", rounds);
    std::printf("%9s  %10s  %10s  %7s  %s\n", "at a time", "liburing", "ringdown", "ratio",
                "lowest to highest");
    for (const row& each : rows) {
        const double ratio = median(each.ratios);
        within = within && (limit <= 0 || ratio <= limit);
        const auto [lowest, highest] = std::ranges::minmax(each.ratios);
        std::printf("%9zu  %10.1f  %10.1f  %7.3f  %.3f to %.3f\n", each.depth, median(each.raw),
                    median(each.awaited), ratio, lowest, highest);
    }
    if (!within) std::printf("\na ratio is above the limit of %.2f\n", limit);
    return within;
}

void print_json(const std::vector<row>& rows) {
    auto made = nlohmann::ordered_json::array();
    for (const row& each : rows) {
        const auto [lowest, highest] = std::ranges::minmax(each.ratios);
        made.push_back(
            {{"name", "no-op"},
             {"depth", each.depth},
             {"liburing", median(each.raw)},
             {"ringdown", median(each.awaited)},
             {"ratio",
              {{"median", median(each.ratios)}, {"lowest", lowest}, {"highest", highest}}}});
    }
    std::printf("%s\n", made.dump().c_str());
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("Measures an awaited no-op against hand-written liburing.", "ring");
    int rounds = 15;
    std::size_t count = 400'000;
    bool quick = false;
    bool json = false;
    double limit = 0;
    app.add_option("--rounds", rounds, "rounds, of which the median is taken [15]")
        ->check(CLI::Range(1, 1000));
    app.add_option("--count", count, "no-ops a round [400000]")
        ->check(CLI::Range(std::size_t{1000}, std::size_t{1} << 32));
    app.add_flag("--quick", quick, "few and short rounds");
    app.add_flag("--json", json, "print JSON instead of a table");
    app.add_option("--limit", limit, "fail when a median ratio is above this");
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        std::fputs(app.help().c_str(), stdout);
        return 0;
    } catch (const CLI::ParseError& refused) {
        std::fprintf(stderr, "ring: %s\n", refused.what());
        return 2;
    }
    if (quick) {
        rounds = std::min(rounds, 5);
        count = std::min(count, std::size_t{100'000});
    }

    std::vector<row> rows{{1, {}, {}, {}}, {16, {}, {}, {}}, {128, {}, {}, {}}};
    for (int round = 1; round <= rounds; ++round) {
        for (row& each : rows)
            measure(each, count);
        progress(round, rounds);
    }

    if (json) {
        print_json(rows);
        return 0;
    }
    return print_table(rows, rounds, limit) ? 0 : 1;
}
