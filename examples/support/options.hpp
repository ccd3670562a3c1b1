#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <ringdown/net/address.hpp>
#include <ringdown/shutdown/ending/policy.hpp>

#include "run_program.hpp"

namespace examples {

/// What every example server is told on its command line.
struct serving_options {
    ringdown::address listen;
    bool listen_on_passed = false; ///< On the socket that systemd passed, not on `listen`.
    ringdown::ending_request ending;
    std::chrono::nanoseconds drain{std::chrono::seconds(10)};
    std::string reports;
    unsigned threads = 1;
    std::optional<ringdown::address> metrics;
    bool live = false;
};

/// Adds `--ending`, `--deadline`, `--idle` and `--discard-max`.
void add_ending_options(command_line::command& app, ringdown::ending_request& ending);

/// Adds those and `--listen`, `--drain`, `--reports`, `--threads`, `--metrics`, `--live`.
void add_serving_options(command_line::command& app, serving_options& options);

/// Adds an option for an address, such as `--listen`.
command_line::option add_address(command_line::command& app, const std::string& name,
                                 ringdown::address& value, const std::string& description);

/// Adds an option for a duration such as `250ms` or `5s`.
command_line::option add_duration(command_line::command& app, const std::string& name,
                                  std::chrono::nanoseconds& value, const std::string& description);

/// Adds `--reports`.
command_line::option add_reports(command_line::command& app, std::string& value,
                                 const std::string& description);

/// Adds an option for a size such as `4096` or `1MiB`.
command_line::option add_size(command_line::command& app, const std::string& name,
                              std::uint64_t& value, const std::string& description);

} // namespace examples
