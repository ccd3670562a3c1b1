#include "lengths.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace rpc {
namespace {

// What follows a first byte from 0xc4 on: bytes that are a length, and bytes besides.
struct layout {
    std::uint8_t length;
    std::uint8_t other;
};

// Source: the MessagePack specification, "Formats". The counts of arrays and maps are no lengths:
// their values follow as values.
constexpr unsigned first_laid_out = 0xc4;
constexpr std::array<layout, 0xe0 - first_laid_out> layouts{{
    {1, 0}, {2, 0}, {4, 0},                  // bin 8, 16, 32
    {1, 1}, {2, 1}, {4, 1},                  // ext 8, 16, 32, with their type
    {0, 4}, {0, 8},                          // float 32, 64
    {0, 1}, {0, 2}, {0, 4}, {0, 8},          // uint 8, 16, 32, 64
    {0, 1}, {0, 2}, {0, 4}, {0, 8},          // int 8, 16, 32, 64
    {0, 2}, {0, 3}, {0, 5}, {0, 9}, {0, 17}, // fixext 1, 2, 4, 8, 16
    {1, 0}, {2, 0}, {4, 0},                  // str 8, 16, 32
    {0, 2}, {0, 4},                          // array 16, 32
    {0, 2}, {0, 4},                          // map 16, 32
}};

constexpr layout layout_of(unsigned char first) noexcept {
    const bool fixed_string = (first & 0xe0) == 0xa0;
    if (fixed_string) return {0, static_cast<std::uint8_t>(first & 0x1f)};
    const bool laid_out = first >= first_laid_out && first < first_laid_out + layouts.size();
    return laid_out ? layouts[first - first_laid_out] : layout{0, 0};
}

} // namespace

std::uint64_t lengths::at_least(std::span<const char> message) noexcept {
    while (next_ < message.size()) {
        const auto rest = message.subspan(static_cast<std::size_t>(next_));
        const layout value = layout_of(static_cast<unsigned char>(rest[0]));
        if (rest.size() <= value.length) break;
        std::uint64_t announced = 0;
        for (const char each : rest.subspan(1, value.length))
            announced = announced << 8 | static_cast<unsigned char>(each);
        next_ += 1U + value.length + value.other + announced;
    }
    return std::max<std::uint64_t>(next_, message.size() + 1);
}

} // namespace rpc
