#include <cstdio>
#include <filesystem>
#include <fstream>

#include <sys/wait.h>
#include <unistd.h>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// No ending may start one of the kernel's worker threads.

namespace {

unsigned kernel_workers() {
    unsigned found = 0;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream file(each.path() / "comm");
        std::string name;
        std::getline(file, name);
        if (name.starts_with("iou-wrk")) ++found;
    }
    return found;
}

// Answers whether every connection was reported.
task<bool> end_in_every_way(rig& at, std::FILE* report_file) {
    unsigned written = 0;
    at.has_no_sink();
    ledger(at.on).on_report([&](const teardown_report& each) {
        std::fprintf(report_file, "%llu %s\n", static_cast<unsigned long long>(each.connection),
                     row(each).c_str());
        std::fflush(report_file);
        ++written;
    });
    for (int i = 0; i < 20; ++i) {
        auto first = at.connect();
        first.theirs.finish();
        const auto sent = co_await first.ours.send_zero_copy(text("answer"));
        CHECK(sent.bytes == 6);
        co_await graceful_close(first.ours);
        auto prompt = at.connect();
        peer_script follower(at.on, [&] {
            prompt.theirs.read_to_end();
            prompt.theirs.finish();
        });
        co_await graceful_close(prompt.ours);
        co_await follower.done();
        auto aborted = at.connect();
        co_await abort_close(aborted.ours);
        auto silent = at.connect();
        co_await graceful_close(silent.ours, {.within = 5ms});
        auto waited = at.connect();
        co_await close(waited.ours, lingering::wait(1s));
        auto background = at.connect();
        background.theirs.finish();
        co_await close(background.ours, lingering::background(1s));
        auto leased = at.connect();
        leased.theirs.write("request");
        {
            const auto got = co_await leased.ours.recv_lease();
            CHECK(got.has_value());
        }
        leased.ours = stream();
        auto reset = at.connect();
        reset.theirs.reset();
        const auto end = co_await peer_closed(reset.ours);
        CHECK(end == peer_end::reset);
        co_await graceful_close(reset.ours);
        auto local = at.connect_unix();
        local.theirs.finish();
        co_await graceful_close(local.ours);
    }
    co_return co_await eventually(at, [&] { return written == at.made(); });
}

unsigned workers_in_child(const loop_options& options) {
    const pid_t child = ::fork();
    if (child == 0) {
        constexpr unsigned failed = 255;
        std::FILE* reports = std::tmpfile();
        rig at(options);
        const bool all = at.on.run(end_in_every_way(at, reports));
        std::_Exit(static_cast<int>(all ? kernel_workers() : failed));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) != 255);
    return static_cast<unsigned>(WEXITSTATUS(status));
}

} // namespace

TEST_CASE("no kernel worker thread is started by any ending, also while reports are written") {
    if (std::getenv("RINGDOWN_FIN")) {
        MESSAGE("skip: RINGDOWN_FIN decides how FIN is sent");
        return;
    }
    CHECK(workers_in_child({}) == 0);
}

TEST_CASE("a kernel worker thread is seen where FIN is a ring operation, so the check can fail") {
    if (std::getenv("RINGDOWN_FIN")) {
        MESSAGE("skip: RINGDOWN_FIN decides how FIN is sent");
        return;
    }
    loop_options options;
    options.fin = fin_method::operation;
    CHECK(workers_in_child(options) > 0);
}
