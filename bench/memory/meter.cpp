#include "meter.hpp"

#include <fstream>
#include <limits>
#include <string>

#include <malloc.h>

namespace bench {

using ringdown::frame_pool;

pool_blocks pool_blocks::now() {
    pool_blocks made;
    for (std::size_t bytes = 0; bytes <= frame_pool::footprint_max;
         bytes += frame_pool::footprint_step)
        made.counts_.push_back(frame_pool::live_of(bytes));
    return made;
}

pool_blocks pool_blocks::since(const pool_blocks& earlier) const {
    pool_blocks made = *this;
    for (std::size_t i = 0; i < counts_.size(); ++i)
        made.counts_[i] -= earlier.counts_[i];
    return made;
}

std::int64_t pool_blocks::bytes() const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i)
        sum += counts_[i] * static_cast<std::int64_t>(i * frame_pool::footprint_step);
    return sum;
}

std::size_t pool_blocks::only() const {
    std::int64_t blocks = 0;
    for (const std::int64_t count : counts_)
        blocks += count;
    return blocks == 1 ? static_cast<std::size_t>(bytes()) : 0;
}

namespace {

// Exact, where the counters of statm may lag behind.
std::int64_t resident() {
    std::ifstream lines("/proc/self/smaps_rollup");
    std::string name;
    std::int64_t kibibytes = 0;
    while (lines >> name) {
        if (name == "Rss:" && lines >> kibibytes) return kibibytes * 1024;
        lines.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    return 0;
}

} // namespace

memory_use memory_use::now() {
    const struct mallinfo2 heap = mallinfo2();
    return {pool_blocks::now(), static_cast<std::int64_t>(heap.uordblks + heap.hblkhd), resident()};
}

} // namespace bench
