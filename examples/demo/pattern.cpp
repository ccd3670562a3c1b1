#include "pattern.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace ringdown_demo {

namespace {

constexpr std::size_t period = 251;

const auto& table() {
    static const auto bytes = [] {
        std::array<std::byte, pattern_bytes_max + period> all{};
        for (std::size_t i = 0; i < all.size(); ++i) {
            all[i] = static_cast<std::byte>(i % period);
        }
        return all;
    }();
    return bytes;
}

} // namespace

std::span<const std::byte> pattern(std::uint64_t salt, std::uint64_t position,
                                   std::uint64_t bytes) {
    return std::span(table()).subspan((salt + position) % period,
                                      std::min<std::uint64_t>(bytes, pattern_bytes_max));
}

std::optional<std::uint64_t> first_difference(std::uint64_t salt, std::uint64_t position,
                                              std::span<const std::byte> bytes) {
    const auto expected = pattern(salt, position, bytes.size());
    // Nearly always equal, and builds for debugging compare byte by byte very slowly.
    if (std::memcmp(bytes.data(), expected.data(), bytes.size()) == 0) {
        return std::nullopt;
    }
    const auto where = std::ranges::mismatch(bytes, expected).in1;
    return position + static_cast<std::uint64_t>(where - bytes.begin());
}

} // namespace ringdown_demo
