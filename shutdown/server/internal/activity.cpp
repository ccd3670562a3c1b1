#include <ringdown/shutdown/server/internal/activity.hpp>

#include <ringdown/shutdown/ending/internal/acknowledgement.hpp>

namespace ringdown {

connection_activity activity_of(const connection& connection) noexcept {
    using enum connection_activity;
    switch (connection.life()) {
    case life_phase::open:
        return connection.marked_idle() ? idle : serving;
    case life_phase::ending:
        break;
    case life_phase::aborting:
        return aborting;
    case life_phase::joined:
        return joining;
    case life_phase::closed:
        return closed;
    }
    if (connection.end_errno() != 0) return joining;
    switch (connection.sending()) {
    case sending_phase::open:
    case sending_phase::flushing:
        return flushing;
    case sending_phase::fin_sent:
        return acknowledging;
    case sending_phase::fin_acknowledged:
        break;
    }
    return connection.receiving() == receiving_phase::discarding ? finishing : joining;
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

connection_activity activity_by_now(connection& connection) noexcept {
    using enum connection_activity;
    const connection_activity known = activity_of(connection);
    if (known != acknowledging) return known;
    if (!fin_is_acknowledged(connection)) return acknowledging;
    return connection.receiving() == receiving_phase::discarding ? finishing : joining;
}

connection_snapshot snapshot_of(connection& connection, std::chrono::nanoseconds age) noexcept {
    const byte_counts& bytes = connection.bytes();
    return {connection.number(),      connection.learn_peer(), age,
            activity_of(connection),  bytes.received,          bytes.sent,
            bytes.handed - bytes.sent};
}

} // namespace ringdown
