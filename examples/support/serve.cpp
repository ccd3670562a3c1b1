#include "serve.hpp"

#include <csignal>
#include <cstdio>
#include <dirent.h>
#include <list>
#include <memory>
#include <sys/stat.h>
#include <thread>
#include <vector>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/signals.hpp>
#include <ringdown/shutdown/close.hpp>

#include "report_json.hpp"
#include "report_writer.hpp"

namespace examples {
namespace {

using namespace ringdown;

// A loop and its server. The first one runs on the main thread, and listens to signals for as
// long as any of them runs.
struct worker {
    worker(std::shared_ptr<listening_socket> from, const server::handler& handler,
           server_options options)
        : serving(on, std::move(from), handler, std::move(options)) {}

    loop on;
    server serving;
};

task<void> drain(worker& drained, drain_policy policy) { co_await drained.serving.drain(policy); }

task<void> drain_on_signal(worker& first, std::list<worker>& workers, signals& asked,
                           std::chrono::nanoseconds within, const serving_extras& extras) {
    for (bool again = false;; again = true) {
        const auto signal = co_await asked.next();
        if (!signal) co_return;
        drain_policy policy;
        policy.deadline = first.on.now() + within;
        auto tell = again ? decltype(extras.on_drain){} : extras.on_drain;
        // A second drain escalates the first.
        for (worker& each : workers)
            each.on.post([&each, policy, tell] {
                if (tell) tell(each.on, *policy.deadline);
                each.on.spawn(drain(each, policy));
            });
    }
}

// Counts the other threads' ends; belongs to the first loop.
struct others {
    std::size_t running;
    event ended{};
};

task<void> run_first(worker& first, std::list<worker>& workers, signals& asked, others& rest,
                     std::chrono::nanoseconds within, const serving_extras& extras) {
    first.on.spawn(drain_on_signal(first, workers, asked, within, extras));
    co_await first.serving.run();
    if (rest.running > 0) co_await rest.ended.wait(first.on);
}

task<void> run_other(worker& other) { co_await other.serving.run(); }

int open_sockets() {
    int count = 0;
    DIR* folder = opendir("/proc/self/fd");
    while (const dirent* entry = folder ? readdir(folder) : nullptr) {
        struct stat kind{};
        if (fstatat(dirfd(folder), entry->d_name, &kind, 0) == 0 && S_ISSOCK(kind.st_mode)) ++count;
    }
    if (folder) closedir(folder);
    return count;
}

void print_totals(std::list<worker>& workers, int descriptors_left, const serving_extras& extras) {
    std::uint64_t accepts = 0;
    std::size_t operations_left = 0;
    teardown_counters counters;
    for (worker& each : workers) {
        accepts += each.serving.accepts();
        operations_left += each.on.operations_in_flight();
        counters.add(each.serving.counters());
    }
    nlohmann::ordered_json totals{{"accepts", accepts}, {"reports", counters.reports}};
    totals.update(to_json(counters));
    totals["descriptors_left"] = descriptors_left;
    totals["operations_left"] = operations_left;
    if (extras.add_totals) extras.add_totals(totals);
    std::printf("%s\n", totals.dump().c_str());
    std::fflush(stdout);
}

server_options options_of(const serving_options& options, report_writer& reports) {
    server_options made;
    made.idle = options.ending.policy.idle;
    made.when_idle = options.ending;
    made.on_report = [&reports](const teardown_report& report) { reports.write(report); };
    made.on_accept_paused = [](std::error_code why) {
        std::fprintf(stderr, "accepting pauses until connections end: %s\n", why.message().c_str());
    };
    return made;
}

} // namespace

task<void> end_as_asked(stream& ended, const ending_request& how) {
    if (how.requested == requested_ending::background) {
        begin_ending(ended, how);
        co_return;
    }
    auto ending = end_connection(ended, how);
    co_await ending;
}

int serve(const serving_options& options, const server::handler& handler,
          const serving_extras& extras) {
    const int sockets_before = open_sockets();
    auto socket = std::make_shared<listening_socket>(options.listen);
    report_writer reports(options.reports);
    std::list<worker> workers;
    for (unsigned i = 0; i < options.threads; ++i)
        workers.emplace_back(socket, handler, options_of(options, reports));
    socket.reset(); // the last server that stops accepting closes it
    worker& first = workers.front();
    {
        signals asked(first.on, {SIGTERM, SIGINT});
        std::printf("listening on %s\n", first.serving.local().text().c_str());
        std::fflush(stdout);

        others rest{workers.size() - 1};
        std::vector<std::jthread> threads;
        for (worker& each : workers) {
            if (&each == &first) continue;
            threads.emplace_back([&each, &first, &rest] {
                each.on.run(run_other(each));
                first.on.post([&rest] {
                    if (--rest.running == 0) rest.ended.set();
                });
            });
        }
        first.on.run(run_first(first, workers, asked, rest, options.drain, extras));
    }
    print_totals(workers, open_sockets() - sockets_before, extras);
    return 0;
}

} // namespace examples
