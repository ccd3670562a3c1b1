#pragma once

#include <optional>

#include "cases.hpp"

namespace bench {

/// Instructions of user space that one more of `count` takes, one at a time, counted by stepping
/// through a child: nearly the same in every run, and to be had where no hardware counter is, as in
/// most virtual machines. Nothing where ptrace(2) is not permitted.
std::optional<double> count_instructions(measured* work);

} // namespace bench
