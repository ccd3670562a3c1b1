#pragma once

#include "record.hpp"
#include "report.hpp"

#include <string>
#include <vector>

namespace ringdown_demo {

/// When things happened in a run that reports refer to.
struct run_times {
    clock::time_point started;
    clock::time_point drained; ///< the server was asked to drain
    clock::time_point ended;   ///< the server was gone
};

/// All that a report says wrongly about the connection of which the peer wrote down `seen`.
///
/// A rule speaks only where the peer knows for certain. What cannot be known from its side:
/// - who was first when both sides reset within the same instant. One of the two resets counts,
///   and the report may name either, but only when the server had a reason to reset by then;
/// - bytes that the peer's kernel acknowledged while the acknowledgement was still under way: a
///   report may claim less than the peer had, never more.
[[nodiscard]] std::vector<std::string> disagreements(const report& said, const record& seen,
                                                     const run_times& times);

} // namespace ringdown_demo
