#include <ringdown/shutdown/ending/histogram.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ringdown {

void time_histogram::add(const time_histogram& other) noexcept {
    for (std::size_t i = 0; i < buckets; ++i)
        counts_[i] += other.counts_[i];
    sum_ += other.sum_;
}

void time_histogram::subtract(const time_histogram& earlier) noexcept {
    for (std::size_t i = 0; i < buckets; ++i)
        counts_[i] -= earlier.counts_[i];
    sum_ -= earlier.sum_;
}

std::uint64_t time_histogram::count() const noexcept {
    return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

std::uint64_t time_histogram::count_below(duration bound) const noexcept {
    const auto end = counts_.begin() + static_cast<std::ptrdiff_t>(bucket_of(bound));
    return std::accumulate(counts_.begin(), end, std::uint64_t{0});
}

std::optional<time_histogram::duration> time_histogram::quantile(double part) const noexcept {
    const std::uint64_t all = count();
    if (all == 0) return {};
    // The comparison is false for what is no number as well.
    const double within = part > 0 ? std::min(part, 1.0) : 0.0;
    const double wanted = std::ceil(within * static_cast<double>(all));
    const std::uint64_t rank =
        std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, all);

    std::size_t bucket = 0;
    for (std::uint64_t before = 0; before + counts_[bucket] < rank; ++bucket)
        before += counts_[bucket];
    const duration begin = begin_of(bucket);
    if (bucket == buckets - 1) return begin;
    return begin + (begin_of(bucket + 1) - duration(1) - begin) / 2;
}

} // namespace ringdown
