// What an idle connection takes of a server's memory, in user space, part by part.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/inbox.hpp>

#include "../../command_line/command_line.hpp"
#include "server.hpp"

namespace {

using bench::measured;
using ringdown::frame_pool;

// Descriptors that are not connections: the listener, the ring, pipes and files.
constexpr rlim_t other_descriptors = 64;

constexpr std::uint32_t connections_min = 1024;

/// By how much two of the counts may differ.
/// @{
constexpr double heap_tolerance = 0.02;     // the pool is all that grows
constexpr double resident_tolerance = 0.08; // pages are touched as a whole
/// @}

struct part {
    std::string name;
    double bytes;
};

struct figures {
    std::vector<part> parts;
    double pool, heap, resident;
};

double each(std::int64_t after, std::int64_t before, const measured& seen) {
    return static_cast<double>(after - before) / seen.connections;
}

// The parts that have a name here, and what is left: the server's own.
figures figures_of(const measured& seen) {
    const bench::pool_blocks grown = seen.after.pool.since(seen.before.pool);
    figures made{{},
                 each(grown.bytes(), 0, seen),
                 each(seen.after.heap_bytes, seen.before.heap_bytes, seen),
                 each(seen.after.resident_bytes, seen.before.resident_bytes, seen)};
    double left = made.pool;
    const auto add = [&](std::string name, std::size_t footprint) {
        made.parts.push_back({std::move(name), static_cast<double>(footprint)});
        left -= static_cast<double>(footprint);
    };
    add("connection: descriptor, phases, counts",
        frame_pool::footprint(sizeof(ringdown::connection)));
    add("inbox: the receive that stays armed", frame_pool::footprint(sizeof(ringdown::inbox)));
    add("handler's frame: stream, receive, send", seen.handler_bytes);
    made.parts.push_back({"server: tracking", left});
    return made;
}

bool agree(double one, double other, double tolerance) {
    return std::abs(one - other) <= tolerance * std::max(one, other);
}

void print_table(const figures& made, const measured& seen, double limit) {
    std::printf("user space for an idle connection, bytes (growth by %u connections)\n\n",
                seen.connections);
    for (const part& part : made.parts)
        std::printf("%-42s %8.0f\n", part.name.c_str(), part.bytes);
    std::printf("%-42s %8.1f\n", "all, as the pool counts blocks", made.pool);
    std::printf("%-42s %8.1f\n", "all, as the C library's heap counts", made.heap);
    std::printf("%-42s %8.1f\n", "all, as resident memory grew", made.resident);
    if (limit > 0) std::printf("%-42s %8.0f\n", "goal, at most", limit);
}

void print_json(const figures& shown, const measured& seen) {
    auto parts = nlohmann::ordered_json::object();
    for (const part& part : shown.parts)
        parts[part.name] = part.bytes;
    const nlohmann::ordered_json made{{"connections", seen.connections},
                                      {"parts", parts},
                                      {"pool_bytes_each", shown.pool},
                                      {"heap_bytes_each", shown.heap},
                                      {"resident_bytes_each", shown.resident}};
    std::printf("%s\n", made.dump().c_str());
}

bool check(const figures& shown, double limit) {
    bool fine = true;
    const auto complain = [&](const std::string& what) {
        std::fprintf(stderr, "memory: %s\n", what.c_str());
        fine = false;
    };
    const bool parts = std::ranges::all_of(shown.parts, [](const part& p) { return p.bytes > 0; });
    if (!parts) complain("a part takes nothing, so the parts are not what they are called");
    if (!agree(shown.pool, shown.heap, heap_tolerance)) complain("pool and heap do not agree");
    if (!agree(shown.heap, shown.resident, resident_tolerance))
        complain("heap and resident memory do not agree");
    if (limit > 0 && std::max({shown.pool, shown.heap, shown.resident}) > limit)
        complain("a connection takes more than the limit of " +
                 std::to_string(static_cast<int>(limit)) + " bytes");
    return fine;
}

bool descriptors_for(std::uint32_t connections) {
    rlimit now{};
    getrlimit(RLIMIT_NOFILE, &now);
    now.rlim_cur = now.rlim_max;
    setrlimit(RLIMIT_NOFILE, &now);
    if (now.rlim_cur >= connections + other_descriptors) return true;
    std::fprintf(stderr, "memory: %u connections need more than the %llu descriptors allowed\n",
                 connections, static_cast<unsigned long long>(now.rlim_cur));
    return false;
}

} // namespace

int main(int argc, char** argv) {
    command_line::program app("Measures what an idle connection takes of a server's memory.",
                              "memory");
    std::uint32_t connections = 16'000;
    double limit = 0;
    double idle = 0;
    bool json = false;
    app.add("--connections", connections, "in all; an eighth of them warms up [16000]")
        .within(connections_min, 100'000U);
    app.add("--idle", idle, "give the server an idle time of so many seconds").within(0.0, 1e6);
    app.add("--limit", limit, "fail when a connection takes more bytes than this");
    app.add_flag("--json", json, "print JSON instead of a table");
    if (const auto status = app.read(argc, argv)) return *status;
    if (!descriptors_for(connections)) return 2;

    const auto idle_time = std::chrono::nanoseconds(static_cast<std::int64_t>(idle * 1e9));
    const measured seen = bench::serve_and_look(connections, idle_time);
    const figures made = figures_of(seen);
    if (json)
        print_json(made, seen);
    else
        print_table(made, seen, limit);
    return check(made, limit) ? 0 : 1;
}
