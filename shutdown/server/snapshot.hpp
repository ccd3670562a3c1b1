#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <ringdown/net/address.hpp>
#include <ringdown/shutdown/server/server_phase.hpp>

namespace ringdown {

/// What a connection of a server is doing.
enum class connection_activity : std::uint8_t {
    idle,          ///< Its handler waits for a request, and says so.
    serving,       ///< Its handler does anything else.
    flushing,      ///< It ends; bytes that were handed over have not been accepted by the kernel.
    acknowledging, ///< It ends; FIN was sent and is not known to be acknowledged.
    finishing,     ///< It ends; FIN was acknowledged and the peer has not finished.
    joining,       ///< It has ended; operations in flight are coming back.
    aborting,      ///< It was reset; operations in flight are coming back.
    closed,        ///< Its descriptor is released; its handler still runs.
};

constexpr std::size_t connection_activities = 8;

std::string_view name(connection_activity activity) noexcept;
/// What has to happen before the connection gets further: `request`, `handler`, `flush`,
/// `fin_acknowledged`, `peer_finished` or `operations`.
std::string_view waits_for(connection_activity activity) noexcept;

/// One connection at one moment.
struct connection_snapshot {
    std::uint64_t connection = 0; ///< Number within the process.
    address peer;
    std::chrono::nanoseconds age{0}; ///< Since the handler was given it.
    connection_activity activity = connection_activity::serving;
    std::uint64_t received_bytes = 0; ///< Given to the application.
    std::uint64_t sent_bytes = 0;     ///< Accepted by the kernel.
    std::uint64_t queued_bytes = 0;   ///< Handed to a send, not accepted by the kernel yet.

    [[nodiscard]] std::string_view waits_for() const noexcept {
        return ringdown::waits_for(activity);
    }
};

/// A server at one moment, as far as the library knows.
struct server_summary {
    server_phase phase = server_phase::serving;
    bool ready = false;
    std::uint64_t accepts = 0;
    std::uint64_t reports = 0;
    /// Connections by what they are doing.
    std::array<std::size_t, connection_activities> by_activity{};
    std::optional<connection_snapshot> oldest;

    [[nodiscard]] std::size_t count(connection_activity doing) const noexcept {
        return by_activity[static_cast<std::size_t>(doing)];
    }
};

/// The same, and every connection, oldest first. The kernel was asked which FINs were acknowledged.
struct server_snapshot : server_summary {
    std::vector<connection_snapshot> connections;
};

} // namespace ringdown
