#include <ringdown/shutdown/server/snapshot.hpp>

#include <ringdown/net/internal/peer_name.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>

namespace ringdown {

connection_activity activity_of(const connection& of) noexcept {
    using enum connection_activity;
    switch (of.life()) {
    case life_phase::open:
        return of.marked_idle() ? idle : serving;
    case life_phase::ending:
        break;
    case life_phase::aborting:
        return aborting;
    case life_phase::joined:
        return joining;
    case life_phase::closed:
        return closed;
    }
    if (of.end_errno() != 0) return joining;
    switch (of.sending()) {
    case sending_phase::open:
    case sending_phase::flushing:
        return flushing;
    case sending_phase::fin_sent:
        return acknowledging;
    case sending_phase::fin_acknowledged:
        break;
    }
    return of.receiving() == receiving_phase::discarding ? finishing : joining;
}

std::string_view name(connection_activity activity) noexcept {
    static constexpr std::array<std::string_view, connection_activities> names{
        "idle",      "serving", "flushing", "acknowledging",
        "finishing", "joining", "aborting", "closed"};
    return names[static_cast<std::size_t>(activity)];
}

std::string_view waits_for(connection_activity activity) noexcept {
    static constexpr std::array<std::string_view, connection_activities> names{
        "request",       "handler",    "flush",      "fin_acknowledged",
        "peer_finished", "operations", "operations", "handler"};
    return names[static_cast<std::size_t>(activity)];
}

connection_activity activity_by_now(const connection& of) noexcept {
    using enum connection_activity;
    const connection_activity known = activity_of(of);
    if (known != acknowledging) return known;
    const auto& ended = static_cast<const ending&>(*of.ending());
    if (!ended.fin_is_acknowledged()) return acknowledging;
    return of.receiving() == receiving_phase::discarding ? finishing : joining;
}

connection_snapshot snapshot_of(connection& of, std::chrono::nanoseconds age) noexcept {
    if (!of.knows_peer() && of.life() < life_phase::joined)
        of.set_peer(peer_name(of.on().calls(), of.descriptor(), of.ipv6() ? AF_INET6 : AF_INET));
    const connection::counters& bytes = of.bytes();
    return {of.number(),
            of.peer(),
            age,
            activity_of(of),
            bytes.received,
            bytes.sent,
            bytes.handed - bytes.sent};
}

} // namespace ringdown
