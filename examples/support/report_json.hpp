#pragma once

#include <nlohmann/json.hpp>

#include <ringdown/shutdown/ending/ledger.hpp>
#include <ringdown/shutdown/ending/report.hpp>

namespace examples {

/// A report as one JSON object, with the field names of the C++ structure.
nlohmann::ordered_json to_json(const ringdown::teardown_report& report);

/// Counts by initiator, ending, cause and delivery; values that did not occur are left out.
nlohmann::ordered_json to_json(const ringdown::teardown_counters& counters);

} // namespace examples
