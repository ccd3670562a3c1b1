#include "serve.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <dirent.h>
#include <list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

#include <nlohmann/json.hpp>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/signals.hpp>
#include <ringdown/shutdown/ending/close.hpp>
#include <ringdown/shutdown/server/supervisor.hpp>

#include "crew.hpp"
#include "output.hpp"
#include "overseer.hpp"
#include "report_json.hpp"
#include "report_writer.hpp"
#include "worker.hpp"

namespace examples {
namespace {

using namespace ringdown;

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

void print_totals(std::list<worker>& workers, std::size_t operations_left, int descriptors_left,
                  const serving_extras& extras) {
    standing all;
    for (worker& each : workers) {
        all.add(each.stand());
        operations_left += each.loop.operations_in_flight();
    }
    if (!all.notice.empty()) std::fprintf(stderr, "%s\n", all.notice.c_str());
    nlohmann::ordered_json totals{{"accepts", all.accepts}, {"reports", all.counters.reports}};
    totals.update(to_json(all.counters));
    totals["descriptors_left"] = descriptors_left;
    totals["operations_left"] = operations_left;
    if (extras.add_totals) extras.add_totals(totals);
    print_line(totals.dump());
}

server_options options_of(const serving_options& options, report_writer& reports) {
    server_options made;
    made.idle = options.ending.policy.idle;
    made.when_idle = options.ending;
    made.on_report = [&reports](const teardown_report& report) { reports.write(report); };
    return made;
}

std::vector<supervisor::handed_over> take_passed(const serving_options& options,
                                                 supervisor& manager) {
    if (!options.listen_on_passed) return {};
    if (!supervisor::built_in())
        throw std::runtime_error("--listen systemd: this was built without it (meson option "
                                 "systemd); give an address");
    auto passed = manager.take_sockets();
    if (passed.size() != 1)
        throw std::runtime_error("--listen systemd: one socket is wanted, and LISTEN_FDS passed " +
                                 std::to_string(passed.size()) +
                                 " to this process; see systemd.socket(5)");
    return passed;
}

std::shared_ptr<listening_socket> socket_of(const serving_options& options,
                                            const std::vector<supervisor::handed_over>& passed) {
    if (passed.empty()) return std::make_shared<listening_socket>(options.listen);
    const std::string wanted = "; ListenStream= is wanted, see systemd.socket(5)";
    std::shared_ptr<listening_socket> made;
    try {
        made = std::make_shared<listening_socket>(passed.front().descriptor);
    } catch (const std::system_error& refused) {
        throw std::runtime_error("--listen systemd: " + std::string(refused.what()) + wanted);
    }
    if (made->traits().keeps_messages)
        throw std::runtime_error("--listen systemd: the socket that it passed is for packets" +
                                 wanted);
    return made;
}

void announce(worker& first, const overseer* watching, supervisor& manager) {
    print_line("listening on " + first.serving.local().text());
    if (watching && watching->metrics())
        print_line("metrics on " + watching->metrics()->local().text());
    if (const auto told = manager.ready(); !told)
        std::fprintf(stderr, "the service manager cannot be told: %s\n",
                     told.error().message().c_str());
}

} // namespace

task<void> end_as_asked(stream& ended, const ending_request& how) {
    if (how.requested.in_background) {
        begin_ending(ended, how);
        co_return;
    }
    auto ending = end_connection(ended, how);
    co_await ending;
}

int serve(const serving_options& options, const server::handler& handler,
          const serving_extras& extras) {
    if (options.live && options.reports == "-" && isatty(STDOUT_FILENO))
        throw std::runtime_error("--live and --reports - would write to the same terminal; "
                                 "write the reports to a file");
    supervisor manager;
    const auto passed = take_passed(options, manager);
    // A socket that was passed is closed in the end, as one of our own is.
    const int sockets_before = open_sockets() - static_cast<int>(passed.size());
    auto socket = socket_of(options, passed);
    report_writer reports(options.reports);
    std::list<worker> workers;
    for (unsigned i = 0; i < options.threads; ++i)
        workers.emplace_back(socket, handler, options_of(options, reports), options.live);
    socket.reset(); // the last server that stops accepting closes it
    std::size_t operations_left = 0;
    {
        signals asked({SIGTERM, SIGINT});
        std::optional<overseer> watching;
        if (overseer::wanted(options, manager)) watching.emplace(workers, options, manager);
        overseer* const seen_by = watching ? &*watching : nullptr;
        const draining how{options.drain, options.ending.policy, options.listen_on_passed,
                           extras.on_drain};
        run_all(workers, asked, how, seen_by, [&] { announce(workers.front(), seen_by, manager); });
        if (watching) {
            watching->finish();
            operations_left = watching->operations_left();
        }
    }
    const bool written = reports.finish();
    const bool failed = std::ranges::any_of(workers, &worker::accepting_failed);
    print_totals(workers, operations_left, open_sockets() - sockets_before, extras);
    return written && !failed ? 0 : 1;
}

} // namespace examples
