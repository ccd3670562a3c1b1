#pragma once

#include "load.hpp"

#include <filesystem>
#include <string>

namespace ringdown_demo {

struct run_options {
    load_plan plan;
    std::filesystem::path server;
    std::filesystem::path keep; ///< where reports and records stay; empty: only after a failure
};

/// Starts the server, loads it, drains it in the middle of that, verifies and prints everything.
/// True if every report agrees with what its peer saw.
[[nodiscard]] bool run(const run_options& options);

} // namespace ringdown_demo
