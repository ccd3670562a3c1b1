// What the ring, its timers, tasks and events cost, against the same written by hand.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#include <nlohmann/json.hpp>

#include "../../command_line/command_line.hpp"
#include "cases.hpp"
#include "steps.hpp"

namespace {

struct row {
    const char* name;
    const char* by_hand_is;
    std::size_t depth;
    std::size_t count; // a round, so that it takes some 20 ms
    double goal;       // of the ratio; 0: none
    bench::measured* by_hand;
    bench::measured* by_ringdown;

    std::vector<double> hand_nanoseconds;
    std::vector<double> nanoseconds;
    std::vector<double> ratios;
    std::optional<double> hand_instructions;
    std::optional<double> instructions;
};

std::vector<row> all_rows() {
    using namespace bench;
    const auto make = [](const char* name, const char* by_hand_is, std::size_t depth,
                         std::size_t count, double goal, measured* by_hand, measured* awaited) {
        return row{name, by_hand_is, depth, count, goal, by_hand, awaited, {}, {}, {}, {}, {}};
    };
    constexpr auto noop = "IORING_OP_NOP";
    constexpr auto timer = "IORING_OP_TIMEOUT, due at once";
    constexpr auto deadline = "a no-op with IORING_OP_LINK_TIMEOUT";
    constexpr auto channel = "callbacks and a queue";
    constexpr auto spawn = "a state on the heap, called by pointer";
    return {
        make("no-op", noop, 1, 50'000, 1.10, noop_by_hand, noop_awaited),
        make("no-op", noop, 16, 200'000, 1.10, noop_by_hand, noop_awaited),
        make("no-op", noop, 128, 200'000, 1.10, noop_by_hand, noop_awaited),
        make("timer", timer, 1, 400, 0, timer_by_hand, timer_awaited),
        make("timer", timer, 128, 1024, 0, timer_by_hand, timer_awaited),
        make("deadline", deadline, 1, 50'000, 0, deadline_by_hand, deadline_awaited),
        make("deadline", deadline, 128, 100'000, 0, deadline_by_hand, deadline_awaited),
        make("channel", channel, 1, 80'000, 0, channel_by_hand, channel_awaited),
        make("channel", channel, 128, 819'200, 0, channel_by_hand, channel_awaited),
        make("spawn", spawn, 1, 400'000, 0, spawn_by_hand, spawn_awaited),
    };
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

void progress(int round, int rounds) {
    if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\rround %d of %d ", round, rounds);
    if (isatty(STDERR_FILENO) && round == rounds) std::fprintf(stderr, "\r%*s\r", 24, "");
}

// Time that this thread was ready while somebody else had the CPU: the second number there.
double waited_nanoseconds() {
    double ran = 0;
    double waited = 0;
    std::ifstream("/proc/thread-self/schedstat") >> ran >> waited;
    return waited;
}

double nanoseconds_of(bench::measured* what, std::size_t depth, std::size_t count) {
    bench::section timed(false);
    what(timed, depth, count);
    return timed.nanoseconds() / static_cast<double>(count);
}

// The two take turns, so that a slow moment of the machine hits both.
void measure(row& row, std::size_t count) {
    // A multiple of what goes round at a time.
    const std::size_t part = row.depth * bench::channel_stages;
    const std::size_t whole = std::max(count / part, std::size_t{1}) * part;
    row.hand_nanoseconds.push_back(nanoseconds_of(row.by_hand, row.depth, whole));
    row.nanoseconds.push_back(nanoseconds_of(row.by_ringdown, row.depth, whole));
    row.ratios.push_back(row.nanoseconds.back() / row.hand_nanoseconds.back());
}

void count_instructions(row& row) {
    if (row.depth > 1) return;
    row.hand_instructions = bench::count_instructions(row.by_hand);
    if (row.hand_instructions) row.instructions = bench::count_instructions(row.by_ringdown);
}

std::string text_of(const std::optional<double>& count) {
    if (!count) return "-";
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", *count);
    return text;
}

bool print_table(const std::vector<row>& rows, int rounds, double limit, bool chosen) {
    bool within = true;
    bool counted = true;
    std::printf("nanoseconds each (median of %d rounds), and instructions of user space each\n\n",
                rounds);
    std::printf("%-9s %9s  %9s %9s  %6s  %-15s %5s  %8s %8s  %s\n", "", "at a time", "by hand",
                "ringdown", "ratio", "lowest-highest", "goal", "by hand", "ringdown", "by hand is");
    for (const row& each : rows) {
        const double ratio = median(each.ratios);
        if (limit > 0 && (chosen || each.goal > 0) && ratio > limit) within = false;
        if (each.depth == 1 && !each.instructions) counted = false;
        const auto [lowest, highest] = std::ranges::minmax(each.ratios);
        char goal[16] = "-";
        if (each.goal > 0) std::snprintf(goal, sizeof goal, "%.2f", each.goal);
        std::printf("%-9s %9zu  %9.1f %9.1f  %6.3f  %.3f to %-6.3f %5s  %8s %8s  %s\n", each.name,
                    each.depth, median(each.hand_nanoseconds), median(each.nanoseconds), ratio,
                    lowest, highest, goal, text_of(each.hand_instructions).c_str(),
                    text_of(each.instructions).c_str(), each.by_hand_is);
    }
    if (!counted) std::printf("\ninstructions: unavailable, ptrace(2) is not permitted here\n");
    if (!within) std::printf("\na ratio is above the limit of %.2f\n", limit);
    return within;
}

nlohmann::ordered_json or_null(const std::optional<double>& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

void print_json(const std::vector<row>& rows, double waited) {
    auto made = nlohmann::ordered_json::array();
    for (const row& each : rows) {
        made.push_back(
            {{"name", each.name},
             {"by_hand_is", each.by_hand_is},
             {"depth", each.depth},
             {"goal", each.goal > 0 ? nlohmann::ordered_json(each.goal) : nullptr},
             {"nanoseconds",
              {{"by_hand", median(each.hand_nanoseconds)}, {"ringdown", median(each.nanoseconds)}}},
             {"instructions",
              {{"by_hand", or_null(each.hand_instructions)},
               {"ringdown", or_null(each.instructions)}}},
             {"ratios", each.ratios}});
    }
    const nlohmann::ordered_json all{{"waited_share", waited}, {"rows", made}};
    std::printf("%s\n", all.dump().c_str());
}

struct options {
    int rounds = 15;
    std::size_t count = 0;
    std::vector<std::string> only;
    bool quick = false;
    bool json = false;
    double limit = 0;
};

void describe(command_line::command& app, options& given) {
    app.add("--rounds", given.rounds, "rounds, of which the median is taken [15]").within(1, 1000);
    app.add("--count", given.count, "times a round [each row's own: some 20 ms]")
        .within(std::size_t{1000}, std::size_t{1} << 32);
    app.add("--only", given.only, "no-op, timer, deadline, channel, spawn")
        .one_of({"no-op", "timer", "deadline", "channel", "spawn"});
    app.add_flag("--quick", given.quick, "few and short rounds");
    app.add_flag("--json", given.json, "print JSON instead of a table");
    app.add("--limit", given.limit,
            "end with status 1 when a median ratio is above this, of those that have a "
            "goal or are named by --only")
        .within(1e-6, 1e6);
}

// Answers the share of the time in which others had the CPU.
double measure_all(std::vector<row>& rows, const options& given) {
    const auto began = std::chrono::steady_clock::now();
    const double waited_before = waited_nanoseconds();
    for (int round = 1; round <= given.rounds; ++round) {
        for (row& each : rows)
            measure(each, given.count ? given.count : each.count / (given.quick ? 4 : 1));
        progress(round, given.rounds);
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
    return (waited_nanoseconds() - waited_before) / took.count();
}

} // namespace

int main(int argc, char** argv) {
    command_line::program app(
        "Measures ring, timers, tasks and events against the same written by hand.", "ring");
    options given;
    describe(app, given);
    if (const auto status = app.read(argc, argv)) return *status;
    if (given.quick) given.rounds = std::min(given.rounds, 5);

    std::vector<row> rows = all_rows();
    std::erase_if(rows, [&](const row& each) {
        return !given.only.empty() && std::ranges::find(given.only, each.name) == given.only.end();
    });
    const double waited = measure_all(rows, given);
    for (row& each : rows)
        count_instructions(each);

    if (given.json) {
        print_json(rows, waited);
        return 0;
    }
    if (waited > 0.05) std::printf("others had the CPU for %.0f %% of the time\n\n", waited * 100);
    return print_table(rows, given.rounds, given.limit, !given.only.empty()) ? 0 : 1;
}
