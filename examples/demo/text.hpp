#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ringdown_demo {

/// 1234567 as 1,234,567.
[[nodiscard]] std::string grouped(std::uint64_t number);

/// What this share of the microseconds does not exceed, by nearest rank, in milliseconds; a dot
/// for none.
[[nodiscard]] std::string milliseconds(const std::vector<std::uint64_t>& sorted, double share);

} // namespace ringdown_demo
