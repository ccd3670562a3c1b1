#pragma once

#include <nlohmann/json.hpp>

#include "meter.hpp"
#include "options.hpp"
#include "window.hpp"

namespace load {

/// Each runs one workload, verifies every answer, and answers what was measured.
/// @{
nlohmann::ordered_json run_echo(const options& given, const meter& server);
nlohmann::ordered_json run_churn(const options& given, const meter& server);
nlohmann::ordered_json run_discard(const options& given, const meter& server);
nlohmann::ordered_json run_cancel(const options& given, const meter& server);
nlohmann::ordered_json run_drain(const options& given, const meter& server);
/// @}

} // namespace load
