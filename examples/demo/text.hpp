#pragma once

#include <cstdint>
#include <string>

namespace ringdown_demo {

/// 1234567 as 1,234,567.
[[nodiscard]] std::string grouped(std::uint64_t number);

} // namespace ringdown_demo
