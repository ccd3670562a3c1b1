#include "text.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace ringdown_demo {

std::string grouped(std::uint64_t number) {
    auto digits = std::to_string(number);
    for (auto place = digits.size(); place > 3;) {
        place -= 3;
        digits.insert(place, 1, ',');
    }
    return digits;
}

std::string milliseconds(const std::vector<std::uint64_t>& sorted, double share) {
    if (sorted.empty()) {
        return "·";
    }
    const auto rank = std::ceil(share * static_cast<double>(sorted.size()));
    const auto index = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
    return fmt::format("{:.1f}", static_cast<double>(sorted[index]) / 1000);
}

} // namespace ringdown_demo
