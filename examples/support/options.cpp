#include "options.hpp"

#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
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

// The largest that are taken, in the smallest unit and as they are written.
constexpr double time_max = 365.0 * 24 * 3600e9;
constexpr const char* time_max_text = "525600m";
constexpr double size_max = 9007199254740992.0; // up to here a double holds every whole number
constexpr const char* size_max_text = "8388608GiB";

// A number with one of the units behind it, in the smallest of them.
std::optional<double> quantity(const std::string& text, std::span<const unit> units) {
    double number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{}) return {};
    const std::string_view written(rest, static_cast<std::size_t>(end - rest));
    for (const unit& each : units)
        if (each.name == written && number >= 0) return number * each.factor;
    return {};
}

[[noreturn]] void refuse(const std::string& option, const std::string& text, const char* why) {
    throw std::invalid_argument(option + ": '" + text + "' " + why);
}

[[noreturn]] void refuse_too_large(const std::string& option, const std::string& text,
                                   const char* largest) {
    refuse(option, text, ("is too large; write at most " + std::string(largest)).c_str());
}

std::chrono::nanoseconds parse_time(const std::string& option, const std::string& text) {
    const auto parsed = quantity(text, times);
    if (!parsed) refuse(option, text, "is no time; write 500us, 250ms, 5s or 2m");
    if (*parsed > time_max) refuse_too_large(option, text, time_max_text);
    return std::chrono::nanoseconds(static_cast<std::int64_t>(*parsed));
}

std::uint64_t parse_size(const std::string& option, const std::string& text) {
    const auto parsed = quantity(text, sizes);
    if (!parsed) refuse(option, text, "is no size; write 4096, 64KiB, 1MiB or 2GiB");
    if (*parsed > size_max) refuse_too_large(option, text, size_max_text);
    if (*parsed != std::floor(*parsed)) refuse(option, text, "is no whole number of bytes");
    return static_cast<std::uint64_t>(*parsed);
}

ringdown::address parse_address(const std::string& option, const std::string& text) {
    std::string complaint;
    const auto parsed = ringdown::address::parse(text, &complaint);
    if (!parsed) throw std::invalid_argument(option + ": " + complaint);
    return *parsed;
}

const std::map<std::string, ringdown::ending_plan> endings{
    {"graceful", ringdown::plans::graceful},
    {"abort", ringdown::plans::abort},
    {"background", ringdown::plans::background},
    {"wait", ringdown::plans::wait},
};

} // namespace

command_line::option add_address(command_line::command& app, const std::string& name,
                                 ringdown::address& value, const std::string& description) {
    return app
        .add(
            name, [&value, name](const std::string& text) { value = parse_address(name, text); },
            description)
        .named("ADDR");
}

command_line::option add_duration(command_line::command& app, const std::string& name,
                                  std::chrono::nanoseconds& value, const std::string& description) {
    return app
        .add(
            name, [&value, name](const std::string& text) { value = parse_time(name, text); },
            description)
        .named("TIME");
}

command_line::option add_size(command_line::command& app, const std::string& name,
                              std::uint64_t& value, const std::string& description) {
    return app
        .add(
            name, [&value, name](const std::string& text) { value = parse_size(name, text); },
            description)
        .named("SIZE");
}

command_line::option add_reports(command_line::command& app, std::string& value,
                                 const std::string& description) {
    return app
        .add(
            "--reports",
            [&value](const std::string& text) {
                if (text.empty())
                    refuse("--reports", text, "names no file; write a path, - for stdout");
                value = text;
            },
            description)
        .named("FILE|-");
}

void add_ending_options(command_line::command& app, ringdown::ending_request& ending) {
    app.add(
           "--ending", [&ending](const std::string& text) { ending.requested = endings.at(text); },
           "how to end a connection: graceful, abort, background or wait [graceful]")
        .one_of({"graceful", "abort", "background", "wait"})
        .named("HOW");
    add_duration(app, "--deadline", ending.policy.within, "longest time that an ending takes [5s]");
    add_duration(app, "--idle", ending.policy.idle,
                 "longest time without a byte received or acknowledged, 0s: no limit [30s]");
    add_size(app, "--discard-max", ending.policy.discard_bytes_max,
             "most bytes dropped while ending [1MiB]");
    ending.policy.within = 5s;
    ending.policy.idle = 30s;
    ending.policy.discard_bytes_max = 1 << 20;
}

void add_serving_options(command_line::command& app, serving_options& options) {
    app.add(
           "--listen",
           [&options](const std::string& text) {
               options.listen_on_passed = text == "systemd";
               if (!options.listen_on_passed) options.listen = parse_address("--listen", text);
           },
           "where to listen; port 0 picks one; systemd: the socket that it passed")
        .named("ADDR|systemd")
        .required();
    add_ending_options(app, options.ending);
    add_duration(app, "--drain", options.drain, "longest time that the last connections get [10s]");
    add_reports(app, options.reports, "write a report for each connection, - for stdout");
    app.add("--threads", options.threads, "loops, one thread each [1]").within(1, 64).named("N");
    app.add(
           "--metrics",
           [&options](const std::string& text) {
               options.metrics = parse_address("--metrics", text);
           },
           "where to answer GET /metrics, for Prometheus")
        .named("ADDR");
    app.add_flag("--live", options.live, "show how it goes, on the terminal of standard error");
}

} // namespace examples
