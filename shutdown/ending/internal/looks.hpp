#pragma once

#include <chrono>

#include <ringdown/runtime/internal/timer.hpp>

namespace ringdown {

/// The next moment from `earliest` on at which all look that do so that far apart.
///
/// Looks need not be punctual. Those of many connections fall together, so that a crowd of stuck or
/// quiet peers wakes the loop as seldom as a single one does.
inline timer::time_point together(timer::time_point earliest,
                                  std::chrono::nanoseconds apart) noexcept {
    const auto over = earliest.time_since_epoch() % apart;
    return over.count() == 0 ? earliest : later(earliest, apart - over);
}

} // namespace ringdown
