#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "wire_capture.hpp"

namespace ringdown::testing {

/// Counts the RST of connections, from a capture of their ends, without the kernel's answers to
/// stragglers.
///
/// A segment that arrives when its socket is gone is answered by RST, whoever wrote the program:
/// a bare acknowledgement that crosses a reset, or one of a segment sent twice, after both FINs. A
/// socket's own reset carries ACK and such an answer does not, so one that follows neither a reset
/// nor both FINs is counted: it tells of a socket that was gone too early. Unless the socket's own
/// reset comes behind it: the kernel takes a socket out of its table first, and sends RST then, so
/// data that arrives between the two on another CPU is answered before.
class wire_resets {
public:
    void add(const wire_segment& next);

    /// Those sent by any of these ports.
    [[nodiscard]] std::uint64_t sent_by(const std::set<std::uint16_t>& ports) const;

private:
    using port_pair = std::pair<std::uint16_t, std::uint16_t>;

    struct seen {
        bool reset = false;
        std::set<std::uint16_t> bare_fins;            // of the ports that sent one without data
        std::map<std::uint16_t, std::uint64_t> early; // answers counted before a port's own reset
    };

    std::map<port_pair, seen> connections_;
    std::map<std::uint16_t, std::uint64_t> sent_;
};

} // namespace ringdown::testing
