#include "wire_resets.hpp"

#include <algorithm>

namespace ringdown::testing {

void wire_resets::add(const wire_segment& next) {
    seen& of = connections_[std::minmax(next.from, next.to)];
    // What came with data is no straggler: its socket was gone while data was on its way.
    if (next.fin && next.payload == 0) of.bare_fins.insert(next.from);
    if (!next.rst) return;
    const bool answers_straggler = !next.ack && (of.reset || of.bare_fins.size() == 2);
    if (!answers_straggler) ++sent_[next.from];
    of.reset = true;
}

std::uint64_t wire_resets::sent_by(const std::set<std::uint16_t>& ports) const {
    std::uint64_t all = 0;
    for (const auto& [port, count] : sent_)
        if (ports.contains(port)) all += count;
    return all;
}

} // namespace ringdown::testing
