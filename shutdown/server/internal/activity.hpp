#pragma once

#include <chrono>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/shutdown/server/snapshot.hpp>

namespace ringdown {

/// Where a connection stands, as far as the library knows; the kernel is not asked.
connection_activity activity_of(const connection& connection) noexcept;
/// The same, and whether a FIN of ours was acknowledged since, which the kernel is asked and nobody
/// else is told.
connection_activity activity_by_now(connection& connection) noexcept;

/// Its activity is what the library knows of it. Asks the kernel for the peer's name if nobody has
/// before, and for nothing else; keeps that name, and changes nothing else.
connection_snapshot snapshot_of(connection& connection, std::chrono::nanoseconds age) noexcept;

} // namespace ringdown
