// Drives real connections of all kinds against a server that uses Ringdown, drains it in the
// middle of that, and holds every teardown report against what the peer itself saw. Then the same
// with sessions that have requests in progress. Nothing in this program uses the library.

#include "run.hpp"
#include "sessions/run.hpp"

#include "../support/run_program.hpp"

#include <cstdint>
#include <filesystem>
#include <random>
#include <stdexcept>

#include <fmt/format.h>

namespace {

using namespace ringdown_demo;

struct choices {
    std::size_t connections = 12'000;
    std::size_t concurrency = 1'500;
    double seconds = 7;
    std::size_t sessions = 300;
    std::uint64_t seed = 0;
    std::string server;
    std::string keep;
};

void add_options(command_line::command& app, choices& chosen) {
    app.add("--connections", chosen.connections, "connections to open in all")
        .within(12, 200'000)
        .with_default_shown();
    app.add("--concurrency", chosen.concurrency, "connections open at a time, at most")
        .within(1, 15'000)
        .with_default_shown();
    app.add("--seconds", chosen.seconds, "time over which they are opened")
        .within(0.1, 3600.0)
        .with_default_shown();
    app.add("--sessions", chosen.sessions, "sessions to drain behind that; 0: none")
        .within(0, 5'000)
        .with_default_shown();
    app.add("--server", chosen.server, "the server [default: demo-server beside this program]");
    app.add("--seed", chosen.seed, "repeats the choices of another run [default: random]");
    app.add("--keep", chosen.keep, "folder for reports and records [default: kept on failure]");
}

std::filesystem::path server_to_run(const std::string& named, const char* otherwise) {
    const std::filesystem::path server =
        named.empty() ? std::filesystem::read_symlink("/proc/self/exe").replace_filename(otherwise)
                      : std::filesystem::absolute(named);
    if (!std::filesystem::exists(server))
        throw std::runtime_error(
            fmt::format("no server at {}; name one with --server PATH", server.string()));
    return server;
}

int run_all(const choices& chosen) {
    const auto seed = chosen.seed != 0 ? chosen.seed : std::random_device{}();
    const run_options options{
        .plan = {.connections = chosen.connections,
                 .concurrency = chosen.concurrency,
                 .opening = std::chrono::milliseconds(static_cast<int>(chosen.seconds * 1000)),
                 .seed = seed},
        .server = server_to_run(chosen.server, "demo-server"),
        .keep = chosen.keep};
    bool good = run(options);
    if (chosen.sessions > 0) {
        fmt::print("\n");
        const session_run_options sessions{.sessions = chosen.sessions,
                                           .seed = seed,
                                           .server = server_to_run({}, "session-server"),
                                           .keep = chosen.keep};
        good = run_sessions(sessions) && good;
    }
    return good ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    choices chosen;
    command_line::program app(
        "Holds what servers say of their connections and sessions against what their "
        "peers saw.",
        "demo");
    add_options(app, chosen);
    return examples::run_program(app, argc, argv, [&] { return run_all(chosen); });
}
