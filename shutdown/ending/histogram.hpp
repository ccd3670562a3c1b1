#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace ringdown {

/// How many durations fell into which range: fixed buckets of whole microseconds, four to each
/// doubling, so that a bucket is never wider than a quarter of what it holds.
///
/// Recording is a shift and two additions, and allocates nothing. Histograms add up, and an
/// earlier state of one can be subtracted from it. Written here because the library depends on
/// liburing only.
/// Units: microseconds, cut off below as reports have them; negative ones count as 0.
class time_histogram {
public:
    using duration = std::chrono::microseconds;

    /// The last bucket holds everything from 2^32 microseconds, 71 minutes, on.
    static constexpr std::size_t buckets = 125;

    /// The bucket that a duration falls into.
    static constexpr std::size_t bucket_of(duration time) noexcept {
        if (time.count() < 4) return time.count() > 0 ? static_cast<std::size_t>(time.count()) : 0;
        const auto value = static_cast<std::uint64_t>(time.count());
        const auto doubling = static_cast<std::size_t>(std::bit_width(value)) - 1;
        const std::size_t quarter = (value >> (doubling - 2)) & 3;
        const std::size_t bucket = 4 * (doubling - 1) + quarter;
        return bucket < buckets ? bucket : buckets - 1;
    }

    /// The least duration of a bucket. It holds what is less than that of the next one.
    static constexpr duration begin_of(std::size_t bucket) noexcept {
        if (bucket < 4) return duration(bucket);
        return duration((4 + bucket % 4) << (bucket / 4 - 1));
    }

    void record(duration time) noexcept {
        ++counts_[bucket_of(time)];
        sum_ += time.count() > 0 ? static_cast<std::uint64_t>(time.count()) : 0;
    }
    void add(const time_histogram& other) noexcept;
    /// Takes away what had been recorded by then; `earlier` is a copy of this one.
    void subtract(const time_histogram& earlier) noexcept;

    [[nodiscard]] const std::array<std::uint64_t, buckets>& counts() const noexcept {
        return counts_;
    }
    [[nodiscard]] std::uint64_t count() const noexcept;
    [[nodiscard]] duration sum() const noexcept { return duration(sum_); }

    /// How many were less than `bound`; exact for bounds that `begin_of` answers, such as the
    /// powers of 2, else those of the bucket that `bound` falls into are left out.
    [[nodiscard]] std::uint64_t count_below(duration bound) const noexcept;

    /// What a part of the durations did not exceed: 0.5 is the median. Empty without durations.
    ///
    /// Estimated by the middle of the bucket that the duration with this rank is in, so off by at
    /// most an eighth of it, and exact below 8 microseconds. Where that is the last bucket, the
    /// answer is the 71 minutes that it begins with, and says only that it was no less.
    [[nodiscard]] std::optional<duration> quantile(double part) const noexcept;

private:
    std::array<std::uint64_t, buckets> counts_{};
    std::uint64_t sum_ = 0;
};

} // namespace ringdown
