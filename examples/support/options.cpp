#include "options.hpp"

#include <charconv>
#include <map>
#include <optional>
#include <span>
#include <string_view>

namespace examples {
namespace {

using namespace std::chrono_literals;

struct unit {
    std::string_view name;
    double factor;
};

constexpr unit times[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}};
constexpr unit sizes[] = {
    {"", 1}, {"B", 1}, {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}};

// A number with one of the units behind it; at most `limit` in the smallest of them.
std::optional<double> quantity(const std::string& text, std::span<const unit> units, double limit) {
    double number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{}) return {};
    const std::string_view written(rest, static_cast<std::size_t>(end - rest));
    for (const unit& each : units)
        if (each.name == written && number >= 0 && number * each.factor <= limit)
            return number * each.factor;
    return {};
}

ringdown::address parse_address(const std::string& option, const std::string& text) {
    std::string complaint;
    const auto parsed = ringdown::address::parse(text, &complaint);
    if (!parsed) throw CLI::ValidationError(option, complaint);
    return *parsed;
}

const std::map<std::string, ringdown::requested_ending> endings{
    {"graceful", ringdown::requested_ending::graceful},
    {"abort", ringdown::requested_ending::abort},
    {"background", ringdown::requested_ending::background},
    {"wait", ringdown::requested_ending::wait},
};

} // namespace

CLI::Option* add_address(CLI::App& app, const std::string& name, ringdown::address& value,
                         const std::string& description) {
    return app
        .add_option_function<std::string>(
            name, [&value, name](const std::string& text) { value = parse_address(name, text); },
            description)
        ->type_name("ADDR");
}

CLI::Option* add_duration(CLI::App& app, const std::string& name, std::chrono::nanoseconds& value,
                          const std::string& description) {
    return app
        .add_option_function<std::string>(
            name,
            [&value, name](const std::string& text) {
                const auto parsed = quantity(text, times, 365.0 * 24 * 3600e9);
                if (!parsed)
                    throw CLI::ValidationError(
                        name, "'" + text + "' is no time; write 500us, 250ms, 5s or 2m");
                value = std::chrono::nanoseconds(static_cast<std::int64_t>(*parsed));
            },
            description)
        ->type_name("TIME");
}

CLI::Option* add_size(CLI::App& app, const std::string& name, std::uint64_t& value,
                      const std::string& description) {
    return app
        .add_option_function<std::string>(
            name,
            [&value, name](const std::string& text) {
                const auto parsed = quantity(text, sizes, 9e15);
                if (!parsed)
                    throw CLI::ValidationError(
                        name, "'" + text + "' is no size; write 4096, 64KiB, 1MiB or 2GiB");
                value = static_cast<std::uint64_t>(*parsed);
            },
            description)
        ->type_name("SIZE");
}

void add_ending_options(CLI::App& app, ringdown::ending_request& ending) {
    app.add_option_function<std::string>(
           "--ending", [&ending](const std::string& text) { ending.requested = endings.at(text); },
           "how to end a connection: graceful, abort, background or wait")
        ->check(CLI::IsMember({"graceful", "abort", "background", "wait"}))
        ->type_name("HOW");
    add_duration(app, "--deadline", ending.policy.within, "longest time that an ending takes [5s]");
    add_duration(app, "--idle", ending.policy.idle, "longest time without progress [30s]");
    add_size(app, "--discard-max", ending.policy.discard_bytes_max,
             "most bytes dropped while ending [1MiB]");
    ending.policy.within = 5s;
    ending.policy.idle = 30s;
    ending.policy.discard_bytes_max = 1 << 20;
}

void add_serving_options(CLI::App& app, serving_options& options) {
    app.add_option_function<std::string>(
           "--listen",
           [&options](const std::string& text) {
               options.listen_on_passed = text == "systemd";
               if (!options.listen_on_passed) options.listen = parse_address("--listen", text);
           },
           "where to listen; port 0 picks one; systemd: the socket that it passed")
        ->type_name("ADDR|systemd")
        ->required();
    add_ending_options(app, options.ending);
    add_duration(app, "--drain", options.drain, "longest time that the last connections get [10s]");
    app.add_option("--reports", options.reports, "write a report for each connection, - for stdout")
        ->type_name("FILE|-");
    app.add_option("--threads", options.threads, "loops, one thread each [1]")
        ->check(CLI::Range(1, 64))
        ->type_name("N");
    app.add_option_function<std::string>(
           "--metrics",
           [&options](const std::string& text) {
               options.metrics = parse_address("--metrics", text);
           },
           "where to answer GET /metrics, for Prometheus")
        ->type_name("ADDR");
    app.add_flag("--live", options.live, "show how it goes, on the terminal of standard error");
}

} // namespace examples
