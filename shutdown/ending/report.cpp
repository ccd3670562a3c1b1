#include <ringdown/shutdown/ending/report.hpp>

#include <array>

namespace ringdown {
namespace {

template <std::size_t N, class Enum>
std::string_view at(const std::array<std::string_view, N>& names, Enum value) noexcept {
    return names[static_cast<std::size_t>(value)];
}

} // namespace

std::string_view name(teardown_initiator value) noexcept {
    static constexpr std::array<std::string_view, 4> names{"local", "peer", "both", "kernel"};
    return at(names, value);
}

std::string_view name(teardown_cause value) noexcept {
    static constexpr std::array<std::string_view, 12> names{
        "application",   "peer_finished", "drain",           "dropped",
        "canceled",      "peer_reset",    "deadline",        "idle",
        "discard_limit", "truncated",     "network_timeout", "error"};
    return at(names, value);
}

std::string_view name(requested_ending value) noexcept {
    static constexpr std::array<std::string_view, 6> names{"graceful", "abort", "background",
                                                           "wait",     "none",  "release"};
    return at(names, value);
}

std::string_view name(actual_ending value) noexcept {
    static constexpr std::array<std::string_view, 8> names{
        "graceful", "delivered", "degraded", "aborted", "reset", "lost", "closed", "released"};
    return at(names, value);
}

std::string_view name(delivery_verdict value) noexcept {
    static constexpr std::array<std::string_view, 3> names{"acknowledged", "unacknowledged",
                                                           "unknown"};
    return at(names, value);
}

std::string_view name(teardown_phase value) noexcept {
    static constexpr std::array<std::string_view, 5> names{"open", "flushing", "fin_sent",
                                                           "fin_acknowledged", "finished"};
    return at(names, value);
}

} // namespace ringdown
