#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <ringdown/shutdown/ending/ledger.hpp>

namespace ringdown {

/// What the counters do not hold: how the servers stand at the moment.
struct prometheus_standing {
    std::uint64_t accepts = 0; ///< Connections accepted so far.
    std::size_t open = 0;      ///< Accepted and not yet reported.
    bool draining = false;
};

/// A label that every sample gets. The name is letters, digits and `_`; the value any UTF-8.
struct prometheus_label {
    std::string_view name;
    std::string_view value;
};

/// Counters in Prometheus's text format, version 0.0.4, as one answer to a scrape.
///
/// Every value of every label is there from the start, with 0 where it did not occur. The
/// histograms have a bucket for each power of 2 from 16 microseconds to 67 seconds; a duration
/// that is exactly such a bound counts above it.
/// Errors: a label's name that is none is a bug of the caller's, and stops the program.
/// Source: https://prometheus.io/docs/instrumenting/exposition_formats/
std::string prometheus_text(const teardown_counters& counters,
                            const std::optional<prometheus_standing>& standing = {},
                            std::span<const prometheus_label> labels = {});

} // namespace ringdown
