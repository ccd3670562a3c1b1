#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

namespace load {

/// Counts durations in nanoseconds; each bucket is at most 1/32 wider than its lower end.
class histogram {
public:
    void add(std::uint64_t nanoseconds) {
        ++buckets_[index(nanoseconds)];
        ++count_;
        if (nanoseconds > longest_) longest_ = nanoseconds;
    }

    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] std::uint64_t longest() const { return longest_; }

    /// The middle of the bucket below which this share of all lies.
    [[nodiscard]] double quantile(double share) const {
        const double wanted = share * static_cast<double>(count_);
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            seen += buckets_[i];
            if (seen > 0 && static_cast<double>(seen) >= wanted)
                return static_cast<double>(lower(i) + lower(i + 1)) / 2;
        }
        return 0;
    }

    /// Each bucket that is not empty: its lower end and its count.
    [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint64_t>> filled() const {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
        for (std::size_t i = 0; i < buckets_.size(); ++i)
            if (buckets_[i] > 0) found.emplace_back(lower(i), buckets_[i]);
        return found;
    }

private:
    static constexpr unsigned fine = 5; // bits below the highest one that make a bucket

    static std::size_t index(std::uint64_t value) {
        if (value < 1U << fine) return value;
        const unsigned shift = std::bit_width(value) - 1 - fine;
        return (std::size_t{shift} << fine) + (value >> shift);
    }
    static std::uint64_t lower(std::size_t index) {
        if (index < 2U << fine) return index;
        const std::size_t shift = (index >> fine) - 1;
        return (index - (shift << fine)) << shift;
    }

    std::array<std::uint64_t, 60U << fine> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t longest_ = 0;
};

} // namespace load
