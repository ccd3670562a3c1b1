// Drives real connections of all kinds against a server that uses Ringdown, drains it in the
// middle of that, and holds every teardown report against what the peer itself saw. Nothing in
// this program uses the library.

#include "run.hpp"

#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <random>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

int main(int argc, char** argv) {
    using namespace ringdown_demo;

    std::size_t connections = 12'000;
    std::size_t concurrency = 1'500;
    double seconds = 7;
    std::uint64_t seed = 0;
    std::string server;
    std::string keep;

    CLI::App app("Holds the teardown reports of a server against what its peers saw.", "demo");
    app.add_option("--connections", connections, "connections to open in all")
        ->check(CLI::Range(12, 200'000))
        ->capture_default_str();
    app.add_option("--concurrency", concurrency, "connections open at a time, at most")
        ->check(CLI::Range(1, 15'000))
        ->capture_default_str();
    app.add_option("--seconds", seconds, "time over which they are opened")
        ->check(CLI::Range(0.1, 3600.0))
        ->capture_default_str();
    app.add_option("--server", server, "the server [default: demo-server beside this program]");
    app.add_option("--seed", seed, "repeats the choices of another run [default: random]");
    app.add_option("--keep", keep, "folder for reports and records [default: kept on failure]");
    CLI11_PARSE(app, argc, argv);

    try {
        if (server.empty()) {
            server =
                std::filesystem::read_symlink("/proc/self/exe").replace_filename("demo-server");
        }
        if (!std::filesystem::exists(server)) {
            fmt::print(stderr, "demo: no server at {}; name one with --server PATH\n", server);
            return 1;
        }
        if (seed == 0) {
            seed = std::random_device{}();
        }
        const run_options options{
            .plan = {.connections = connections,
                     .concurrency = concurrency,
                     .opening = std::chrono::milliseconds(static_cast<int>(seconds * 1000)),
                     .seed = seed},
            .server = std::filesystem::absolute(server),
            .keep = keep};
        return run(options) ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "demo: {}\n", error.what());
        return 1;
    }
}
