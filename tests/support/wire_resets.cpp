#include "wire_resets.hpp"

#include <algorithm>
#include <utility>

namespace ringdown::testing {

void wire_resets::add(const wire_segment& next) {
    seen& of = connections_[std::minmax(next.from, next.to)];
    // What came with data is no straggler: its socket was gone while data was on its way.
    if (next.fin && next.payload == 0) of.bare_fins.insert(next.from);
    if (!next.rst) return;
    std::uint64_t& counted = sent_[next.from];
    if (next.ack) {
        counted -= std::exchange(of.early[next.from], 0);
        ++counted;
    } else if (!of.reset && of.bare_fins.size() < 2) {
        ++of.early[next.from];
        ++counted;
    }
    of.reset = true;
}

std::uint64_t wire_resets::sent_by(const std::set<std::uint16_t>& ports) const {
    std::uint64_t all = 0;
    for (const auto& [port, count] : sent_)
        if (ports.contains(port)) all += count;
    return all;
}

} // namespace ringdown::testing
