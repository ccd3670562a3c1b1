#include "run.hpp"

#include "folder.hpp"
#include "kinds.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "server_process.hpp"
#include "table.hpp"
#include "text.hpp"
#include "verify.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <sys/resource.h>

namespace ringdown_demo {

namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

constexpr std::string_view drain_text = "2s";
constexpr auto drain_time = 2s;
constexpr auto drain_grace = 3s;
// How long peers have, once the server is gone, to see what it sent last.
constexpr auto settle_time = 2s;
constexpr std::size_t failures_shown = 20;
constexpr std::size_t failures_of_a_sort = 2;

class whole_run {
public:
    whole_run(const run_options& options, const files::path& folder)
        : options_(options), reports_(folder / "reports.jsonl"),
          server_(options.server, reports_, drain_text), load_(options.plan, server_.address()),
          progress_(load_.started()), written_(reports_) {
        times_.started = load_.started();
    }

    verification carry_out() {
        open();
        times_.drained = clock::now(); // before the signal: nothing drains earlier
        server_.drain();
        await_end_of_drain();
        times_.ended = clock::now();
        settle();
        show("done");
        progress_.finish();
        load_.cut_short();
        auto verified = verify(load_.records(), reports_, server_.last_line(), times_);
        for (auto& what : complaints_) {
            verified.failures.insert(verified.failures.begin(),
                                     {.what = std::move(what), .peer = {}, .reports = {}});
        }
        return verified;
    }

    [[nodiscard]] const load& peers() const { return load_; }
    [[nodiscard]] const run_times& times() const { return times_; }

private:
    void step(std::string_view what) {
        load_.run_for(20ms);
        if (progress_.is_due()) {
            show(what);
        }
    }

    void show(std::string_view what) {
        const auto& counts = load_.counts();
        progress_.show(
            what, fmt::format("{:>7} opened  {:>6} open  {:>7} over  {:>6} refused  {:>7} reports",
                              grouped(counts.attempted), grouped(counts.open),
                              grouped(counts.over + counts.vanished), grouped(counts.refused),
                              grouped(written_.count())));
    }

    // The last twelfth of the connections is for the drain.
    void open() {
        const auto before_drain = options_.plan.connections - options_.plan.connections / 12;
        const auto time_max = clock::now() + 3 * options_.plan.opening + 10s;
        while (load_.counts().attempted < before_drain) {
            step("serving");
            if (server_.has_ended()) {
                complaints_.push_back(
                    fmt::format("the server ended by itself ({})", describe(server_.complaint())));
                return;
            }
            if (clock::now() >= time_max) {
                complaints_.push_back(fmt::format(
                    "only {} of {} connections could be opened in time: with {} open at a time, "
                    "they do not end fast enough",
                    grouped(load_.counts().attempted), grouped(before_drain),
                    grouped(options_.plan.concurrency)));
                return;
            }
        }
    }

    void await_end_of_drain() {
        const auto time_max = clock::now() + drain_time + drain_grace;
        while (!server_.has_ended()) {
            step("draining");
            if (clock::now() >= time_max) {
                complaints_.push_back(
                    fmt::format("the server has not ended {} s after it was asked to drain for {}; "
                                "killed it, process {}",
                                (drain_time + drain_grace).count(), drain_text, server_.pid()));
                server_.kill();
                while (!server_.has_ended()) {
                    step("killed");
                }
                return;
            }
        }
        if (const auto why = server_.complaint(); !why.empty() && complaints_.empty()) {
            complaints_.push_back(fmt::format("the server failed: {}", why));
        }
    }

    void settle() {
        const auto time_max = clock::now() + settle_time;
        while ((!load_.all_attempted() || load_.has_talking_peers()) && clock::now() < time_max) {
            step("settling");
        }
    }

    static std::string describe(const std::string& complaint) {
        return complaint.empty() ? "exit 0" : complaint;
    }

    const run_options& options_;
    files::path reports_;
    server_process server_;
    load load_;
    progress progress_;
    line_counter written_;
    run_times times_;
    std::vector<std::string> complaints_;
};

// A connection needs one descriptor; those of peers that vanished stay until the end.
void allow_descriptors(const load_plan& plan) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const auto needed = plan.concurrency + plan.connections / 25 + 100;
    if (needed > limit.rlim_max) {
        throw std::runtime_error(fmt::format(
            "{} connections, {} at a time, need {} descriptors, and this process may have {}",
            grouped(plan.connections), grouped(plan.concurrency), grouped(needed),
            grouped(limit.rlim_max)));
    }
}

void write_records(const files::path& file, const load& peers) {
    std::ofstream out(file);
    for (const auto& seen : peers.records()) {
        out << to_json(seen, peers.started()) << '\n';
    }
}

// Failures of one sort differ in their numbers only.
std::string sort_of(const failure& failed) {
    std::string sort;
    std::ranges::copy_if(failed.what, std::back_inserter(sort), [](char letter) {
        return !(letter >= '0' && letter <= '9') && letter != ',' && letter != '.';
    });
    return sort;
}

void show_failures(const std::vector<failure>& failures) {
    std::map<std::string, std::size_t> by_sort;
    std::size_t shown = 0;
    fmt::print("\n");
    for (const auto& failed : failures) {
        if (++by_sort[sort_of(failed)] > failures_of_a_sort || shown >= failures_shown) {
            continue;
        }
        ++shown;
        fmt::print("{}\n", failed.what);
        if (!failed.peer.empty()) {
            fmt::print("    peer    {}\n", failed.peer);
        }
        for (const auto& line : failed.reports) {
            fmt::print("    report  {}\n", line);
        }
    }
    if (failures.size() > shown) {
        fmt::print("... and {} more, of {} sorts in all\n", grouped(failures.size() - shown),
                   by_sort.size());
    }
}

} // namespace

bool run(const run_options& options) {
    allow_descriptors(options.plan);
    const auto folder = make_folder(options.keep);
    whole_run all(options, folder);
    const auto verified = all.carry_out();

    const auto& records = all.peers().records();
    fmt::print("{}\n{}", outcome_table(records, verified), summary(records, verified, all.times()));
    const bool good = verified.failures.empty();
    if (!good) {
        show_failures(verified.failures);
    }
    if (!good || !options.keep.empty()) {
        write_records(folder / "records.jsonl", all.peers());
        fmt::print("\nreports and records are in {} (seed {})\n", folder.string(),
                   options.plan.seed);
    } else {
        files::remove_all(folder);
    }
    fmt::print("\ndemo: {}\n",
               good ? "every report agrees with what its peer saw"
                    : fmt::format("FAILED, {} disagreement{}", grouped(verified.failures.size()),
                                  verified.failures.size() == 1 ? "" : "s"));
    return good;
}

} // namespace ringdown_demo
