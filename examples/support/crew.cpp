#include "crew.hpp"

#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <ringdown/runtime/event.hpp>

namespace examples {
namespace {

using namespace ringdown;

drain_policy policy_of(const draining& how) {
    drain_policy policy;
    policy.within = how.within;
    policy.notice_for = {}; // an echo cannot announce its end, and sessions do so by `on_drain`
    policy.idle = how.limits.idle;
    policy.discard_bytes_max = how.limits.discard_bytes_max;
    policy.hand_over = how.hand_over;
    return policy;
}

// On the first worker's loop, which listens for as long as any of them runs.
task<void> drain_on_signal(std::list<worker>& workers, signals& asked, const draining& how,
                           overseer* watching) {
    for (bool again = false;; again = true) {
        const auto signal = co_await asked.next();
        if (!signal) co_return;
        drain_policy policy = policy_of(how);
        policy.deadline = workers.front().loop.now() + how.within;
        if (watching) watching->drain_begins(*policy.deadline);
        auto tell = again ? decltype(how.on_drain){} : how.on_drain;
        // A second drain escalates the first.
        for (worker& each : workers)
            each.loop.post([&each, policy, tell] {
                if (tell) tell(each.loop, *policy.deadline);
                each.loop.spawn(each.serving.drain(policy));
            });
    }
}

// Counts the other threads' ends; belongs to the first loop.
struct others {
    std::size_t running;
    event ended{};
};

// One that cannot accept any more serves who is there, as long as a drain may take.
task<void> run_server(worker& runs, const draining& how) {
    const auto served = co_await runs.serving.run();
    if (served) co_return;
    drain_policy policy = policy_of(how);
    co_await runs.serving.drain(policy);
}

task<void> run_first(worker& first, const draining& how, task<void> draining, others& rest) {
    first.loop.spawn(std::move(draining));
    co_await run_server(first, how);
    if (rest.running > 0) co_await rest.ended.wait();
}

// All but the first. One that cannot be started ends those that were.
std::vector<std::jthread> start_others(std::list<worker>& workers,
                                       const std::function<void(worker&)>& run) {
    std::vector<std::jthread> threads;
    try {
        for (auto each = std::next(workers.begin()); each != workers.end(); ++each)
            threads.emplace_back([&run, each] { run(*each); });
    } catch (const std::system_error& refused) {
        auto running = std::next(workers.begin());
        for (std::size_t i = 0; i < threads.size(); ++i, ++running)
            running->loop.stop();
        threads.clear();
        throw std::runtime_error("cannot start " + std::to_string(workers.size()) +
                                 " threads: " + refused.code().message() + "; ask for fewer");
    }
    return threads;
}

} // namespace

void run_all(std::list<worker>& workers, signals& asked, const draining& how, overseer* watching,
             const std::function<void()>& started) {
    worker& first = workers.front();
    others rest{workers.size() - 1};
    const auto ended = [watching](worker& which) {
        if (watching) watching->worker_ended(which);
    };
    const std::function<void(worker&)> run = [&](worker& each) {
        each.loop.run(run_server(each, how));
        ended(each);
        first.loop.post([&rest] {
            if (--rest.running == 0) rest.ended.set();
        });
    };
    const auto threads = start_others(workers, run);
    if (watching) watching->start();
    started();
    first.loop.run(run_first(first, how, drain_on_signal(workers, asked, how, watching), rest));
    ended(first);
}

} // namespace examples
