#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/shutdown/ending/histogram.hpp>

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

using us = time_histogram::duration;
constexpr std::size_t last = time_histogram::buckets - 1;

// Durations as endings have them: from nothing to an hour, as many in each doubling.
std::vector<us> spread(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> exponent(0, 31.9);
    std::vector<us> made;
    for (std::size_t i = 0; i < count; ++i)
        made.emplace_back(static_cast<std::int64_t>(std::exp2(exponent(random))) - 1);
    return made;
}

time_histogram of(const std::vector<us>& times) {
    time_histogram made;
    for (const us each : times)
        made.record(each);
    return made;
}

bool equal(const time_histogram& a, const time_histogram& b) {
    return a.counts() == b.counts() && a.sum() == b.sum();
}

} // namespace

TEST_CASE("histogram: buckets follow each other without a gap, none wider than a quarter") {
    CHECK(time_histogram::begin_of(0) == 0us);
    for (std::size_t i = 0; i < last; ++i) {
        CAPTURE(i);
        const us begin = time_histogram::begin_of(i), next = time_histogram::begin_of(i + 1);
        CHECK(begin < next);
        CHECK(time_histogram::bucket_of(begin) == i);
        CHECK(time_histogram::bucket_of(next - 1us) == i);
        CHECK((next - begin <= 1us || 4 * (next - begin) <= begin));
    }
    CHECK(time_histogram::begin_of(last) == us(std::int64_t{1} << 32));
    CHECK(time_histogram::bucket_of(us::max()) == last);
    CHECK(time_histogram::bucket_of(us(-1)) == 0);
    CHECK(time_histogram::bucket_of(us::min()) == 0);
}

TEST_CASE("histogram: counts and sums what it records, negative times as nothing") {
    time_histogram made;
    CHECK(made.count() == 0);
    for (const us each : {0us, 1us, 1us, 700us, us(-5), us(3600s)})
        made.record(each);
    CHECK(made.count() == 6);
    CHECK(made.sum() == 702us + 3600s);
    CHECK(made.counts()[0] == 2);
    CHECK(made.counts()[1] == 2);
}

TEST_CASE("histogram: what is below a bucket's begin is counted exactly") {
    const auto times = spread(5000, 1);
    const time_histogram made = of(times);
    for (std::size_t i = 0; i <= last; ++i) {
        const us bound = time_histogram::begin_of(i);
        const auto below = std::ranges::count_if(times, [&](us each) { return each < bound; });
        CHECK(made.count_below(bound) == static_cast<std::uint64_t>(below));
    }
}

TEST_CASE("histogram: a quantile is off by no more than an eighth") {
    for (const std::size_t count : {1U, 2U, 7U, 1000U}) {
        auto times = spread(count, static_cast<unsigned>(count));
        const time_histogram made = of(times);
        std::ranges::sort(times);
        for (const double part : {0.0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
            CAPTURE(count);
            CAPTURE(part);
            const auto wanted = std::ceil(part * static_cast<double>(count));
            const us exact = times[static_cast<std::size_t>(std::max(wanted, 1.0)) - 1];
            const auto estimate = made.quantile(part);
            REQUIRE(estimate.has_value());
            const us off = *estimate > exact ? *estimate - exact : exact - *estimate;
            CHECK(8 * off <= exact);
            if (exact < 8us) CHECK(off == 0us);
        }
    }
}

TEST_CASE("histogram: a quantile of nothing is none, and odd parts are taken as the nearest") {
    time_histogram made;
    CHECK_FALSE(made.quantile(0.5).has_value());
    made.record(3us);
    made.record(5us);
    CHECK(made.quantile(-1) == 3us);
    CHECK(made.quantile(std::nan("")) == 3us);
    CHECK(made.quantile(7) == 5us);
}

TEST_CASE("histogram: beyond the last bucket's begin a quantile says only that") {
    time_histogram made;
    made.record(us::max() / 4);
    CHECK(made.quantile(0.5) == time_histogram::begin_of(last));
}

TEST_CASE("histogram: adding two is recording both, and subtracting takes the earlier away") {
    const auto first = spread(1000, 2), second = spread(500, 3);
    auto both = first;
    both.insert(both.end(), second.begin(), second.end());

    time_histogram sum = of(first);
    sum.add(of(second));
    CHECK(equal(sum, of(both)));
    sum.subtract(of(first));
    CHECK(equal(sum, of(second)));
    sum.subtract(of(second));
    CHECK(equal(sum, time_histogram()));
}
