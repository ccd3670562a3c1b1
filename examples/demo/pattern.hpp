#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace ringdown_demo {

/// The bytes that travel: byte i is (salt + i) mod 251.
///
/// 251 is a prime, so that a piece that is missing, doubled or another connection's shows.
inline constexpr std::size_t pattern_bytes_max = 64 * 1024;

/// The bytes from `position` on, at most `pattern_bytes_max` of them.
[[nodiscard]] std::span<const std::byte> pattern(std::uint64_t salt, std::uint64_t position,
                                                 std::uint64_t bytes);

/// Where `bytes`, which begin at `position`, first differ from the pattern.
[[nodiscard]] std::optional<std::uint64_t>
first_difference(std::uint64_t salt, std::uint64_t position, std::span<const std::byte> bytes);

} // namespace ringdown_demo
