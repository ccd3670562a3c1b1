#pragma once

#include "record.hpp"
#include "report.hpp"
#include "rules.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace ringdown_demo {

/// What a connection without a report was.
enum class outcome {
    reported,
    refused,       ///< never connected: the server was draining, or gone
    unserved,      ///< connected while the drain began, reset before it was accepted
    before_accept, ///< reset by its peer before the server's kernel knew of it
    missing,       ///< it was served, so a report is missing
};

/// One thing that is not as it should be.
struct failure {
    std::string what;                 ///< which connection, and what is wrong
    std::string peer;                 ///< its record as JSON; may be empty
    std::vector<std::string> reports; ///< the lines that are about it
};

struct verification {
    std::vector<report> reports;     ///< in the order of the file
    std::vector<outcome> outcomes;   ///< by record
    std::vector<const report*> said; ///< by record: its report, or null
    std::vector<failure> failures;
    server_totals totals;
    std::uint64_t claimed_bytes = 0; ///< acknowledged, by the reports
    std::uint64_t heard_bytes = 0;   ///< by the kernels of the peers that have reports
};

/// Holds every report against what its peer saw, and the server's totals against the reports.
[[nodiscard]] verification verify(const std::vector<record>& records,
                                  const std::filesystem::path& reports,
                                  const std::string& totals_line, const run_times& times);

} // namespace ringdown_demo
