#include <ringdown/net/internal/record_map.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

namespace ringdown {
namespace {

bool ends_behind(std::uint64_t wire, const record_map::place& end) noexcept {
    return wire < end.wire;
}

} // namespace

std::uint64_t record_map::plain_within(std::uint64_t wire) const noexcept {
    const auto beyond = std::upper_bound(records_.begin(), records_.end(), wire, ends_behind);
    if (beyond != records_.begin()) return std::prev(beyond)->plain;
    return before_.wire <= wire ? before_.plain : 0;
}

void record_map::forget(std::uint64_t wire) noexcept {
    while (!records_.empty() && records_.front().wire <= wire) {
        before_ = records_.front();
        records_.pop_front();
    }
}

void record_map::thin(std::uint64_t wire) {
    const auto beyond = std::upper_bound(records_.begin(), records_.end(), wire, ends_behind);
    std::deque<place> kept;
    for (auto each = records_.begin(); each != beyond; ++each)
        if ((beyond - each) % 2 != 0) kept.push_back(*each);
    kept.insert(kept.end(), beyond, records_.end());
    records_ = std::move(kept);
}

} // namespace ringdown
