#pragma once

#include "record.hpp"
#include "verify.hpp"

#include <string>
#include <vector>

namespace ringdown_demo {

/// Kind of peer × ending, delivery verdicts and times to end, as lines of text.
[[nodiscard]] std::string outcome_table(const std::vector<record>& records,
                                        const verification& verified);

/// The sums: connections, reports, bytes, causes, what the server has left.
[[nodiscard]] std::string summary(const std::vector<record>& records, const verification& verified,
                                  const run_times& times);

} // namespace ringdown_demo
