#pragma once

namespace ringdown::testing {

/// How many times longer than on a quiet machine tests may take here: `RINGDOWN_TEST_PATIENCE`, or
/// 4 under a sanitizer, or 1. For limits that only a hang reaches, and for nothing else.
unsigned patience() noexcept;

} // namespace ringdown::testing
