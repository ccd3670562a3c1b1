#include "run.hpp"

#include "load.hpp"
#include "table.hpp"
#include "verify.hpp"

#include "../folder.hpp"
#include "../progress.hpp"
#include "../server_process.hpp"
#include "../text.hpp"

#include <fmt/format.h>

namespace ringdown_demo {

namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

constexpr auto talk_time = 1200ms;
constexpr std::string_view drain_text = "1500ms";
constexpr auto drain_time = 1500ms;
constexpr auto drain_grace = 3s;
constexpr auto settle_time = 1s;
constexpr std::size_t failures_shown = 10;

class session_run {
public:
    session_run(const session_run_options& options, const files::path& folder)
        : lines_(folder / "sessions.jsonl"),
          server_(options.server, folder / "session-reports.jsonl", drain_text,
                  {"--sessions", lines_.string()}),
          // Some act when the drain has begun.
          load_(options.sessions, talk_time + drain_time / 3, server_.address(), options.seed),
          progress_(clock::now()) {}

    session_verification carry_out() {
        const auto drain_at = clock::now() + talk_time;
        while (clock::now() < drain_at && !server_.has_ended()) {
            step("serving");
        }
        times_.deadline = drain_time;
        times_.drained = clock::now(); // before the signal: nothing drains earlier
        server_.drain();
        while (!server_.has_ended()) {
            step("draining");
            if (clock::now() >= times_.drained + drain_time + drain_grace) {
                server_.kill();
            }
        }
        times_.ended = clock::now();
        while (load_.counts().over < load_.counts().sessions &&
               clock::now() < times_.ended + settle_time) {
            step("settling");
        }
        show("done");
        progress_.finish();
        auto verified = verify_sessions(load_.records(), lines_, server_.last_line(), times_);
        if (const auto why = server_.complaint(); !why.empty()) {
            verified.failures.insert(verified.failures.begin(), "the server failed: " + why);
        }
        return verified;
    }

    [[nodiscard]] const session_load& clients() const { return load_; }
    [[nodiscard]] const session_times& times() const { return times_; }

private:
    void step(std::string_view what) {
        load_.run_for(5ms);
        if (progress_.is_due()) {
            show(what);
        }
    }

    void show(std::string_view what) {
        const auto counts = load_.counts();
        progress_.show(what, fmt::format("{:>5} sessions  {:>5} over  {:>8} requests  {:>8} "
                                         "answered",
                                         grouped(counts.sessions), grouped(counts.over),
                                         grouped(counts.sent), grouped(counts.answered)));
    }

    files::path lines_;
    server_process server_;
    session_load load_;
    progress progress_;
    session_times times_;
};

} // namespace

bool run_sessions(const session_run_options& options) {
    const auto folder = make_folder(options.keep);
    session_run all(options, folder);
    const auto verified = all.carry_out();
    fmt::print("{}", session_table(all.clients().records(), verified, all.times()));
    const bool good = verified.failures.empty();
    for (std::size_t i = 0; i < verified.failures.size() && i < failures_shown; ++i) {
        fmt::print("{}{}\n", i == 0 ? "\n" : "", verified.failures[i]);
    }
    if (!good || !options.keep.empty()) {
        fmt::print("\nwhat the server said of each is in {} (seed {})\n", folder.string(),
                   options.seed);
    } else {
        files::remove_all(folder);
    }
    fmt::print("\ndemo: {}\n",
               good ? "every session agrees with what its client saw"
                    : fmt::format("FAILED, {} of the sessions' checks", verified.failures.size()));
    return good;
}

} // namespace ringdown_demo
