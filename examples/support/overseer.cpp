#include "overseer.hpp"

#include <algorithm>
#include <ranges>

#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/sleep.hpp>
#include <ringdown/shutdown/server/prometheus.hpp>

namespace examples {

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

// What a worker that is busy answers later counts in the next round.
constexpr auto patience = 1s;
constexpr auto between_pages = 250ms;
// How long a manager waits that is told nothing more, and how often it is told.
constexpr auto extension = 5s;
constexpr auto between_messages = 400ms;

} // namespace

bool overseer::wanted(const serving_options& options, const supervisor& manager) {
    return options.metrics || options.live || manager.supervised();
}

overseer::overseer(std::list<worker>& workers, const serving_options& options, supervisor& manager)
    : manager_(manager) {
    for (worker& each : workers) // which do not run yet
        watched_.push_back({&each, each.stand(), 0, false});
    if (options.metrics) metrics_.emplace(loop_, *options.metrics, [this] { return page(); });
    if (!options.live) return;
    screen_.emplace();
    view_.emplace("listening on " + workers.front().serving.local().text() + ", " +
                      std::to_string(workers.size()) + " loops",
                  loop_.now());
}

overseer::~overseer() { finish(); }

void overseer::start() {
    thread_ = std::jthread([this] { loop_.run(run()); });
}

void overseer::finish() {
    if (!thread_.joinable()) return;
    loop_.post([this] { finished_.set(); });
    thread_.join();
    screen_.reset();
}

task<void> overseer::run() {
    if (metrics_) loop_.spawn(metrics_->run());
    if (view_) loop_.spawn(draw());
    co_await finished_.join();
    if (metrics_) co_await metrics_->drain();
}

void overseer::drain_begins(loop::time_point deadline) {
    loop_.post([this, deadline] {
        const bool first = !std::exchange(drain_deadline_, deadline);
        if (first) loop_.spawn(keep_manager_informed());
    });
}

void overseer::worker_ended(worker& which) {
    loop_.post([this, &which, stood = which.stand()] {
        const auto one = std::ranges::find(watched_, &which, &watched::subject);
        one->latest = stood;
        one->ended = true;
        answered_.set();
    });
}

void overseer::ask(watched& one, std::uint64_t round) {
    one.subject->loop.post([this, &one, round] {
        loop_.post([this, &one, round, stands = one.subject->stand()] {
            if (one.ended) return;
            one.latest = stands;
            one.round = round;
            answered_.set();
        });
    });
}

task<result<void>> overseer::answers(std::uint64_t round) {
    const auto answers = [&](const watched& one) { return one.ended || one.round >= round; };
    while (!std::ranges::all_of(watched_, answers)) {
        answered_.reset();
        const auto waited = co_await answered_.wait();
        if (!waited) co_return std::unexpected(waited.error());
    }
    co_return result<void>{};
}

task<standing> overseer::look() {
    const std::uint64_t round = ++rounds_;
    for (watched& each : watched_)
        if (!each.ended) ask(each, round);
    // Of who is late, the last answer counts.
    (void)co_await with_deadline(loop_.now() + patience, answers(round));
    standing all;
    for (const watched& each : watched_)
        all.add(each.latest);
    co_return all;
}

task<std::string> overseer::page() {
    const standing now = co_await look();
    co_return prometheus_text(now.counters,
                              prometheus_standing{now.accepts, now.open, now.draining()});
}

task<void> overseer::draw() {
    for (;;) {
        const standing now = co_await look();
        screen_->show(view_->page(now, loop_.now(), drain_deadline_));
        const auto slept = co_await sleep_for(between_pages);
        if (!slept) co_return;
    }
}

// What a message that was not taken said, the next one says as well.
task<void> overseer::keep_manager_informed() {
    for (;;) {
        // A drain keeps its deadline; what is not over then hangs, and may be killed.
        const auto overdue = loop_.now() - *drain_deadline_;
        (void)manager_.stopping();
        if (overdue < extension) (void)manager_.extend(extension);
        const standing now = co_await look();
        (void)manager_.status("draining, " + std::to_string(now.open) + " connections left");
        const auto slept = co_await sleep_for(between_messages);
        if (!slept) co_return;
    }
}

} // namespace examples
