#pragma once

#include "verify.hpp"

namespace ringdown_demo {

/// Kind of client × requests, who ended and times to end, and the sums, as lines of text.
[[nodiscard]] std::string session_table(const std::vector<session_record>& records,
                                        const session_verification& verified,
                                        const session_times& times);

} // namespace ringdown_demo
