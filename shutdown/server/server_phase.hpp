#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ringdown {

/// How far a server has come on its way to its end.
enum class server_phase : std::uint8_t {
    serving,         ///< Accepts and serves.
    unready,         ///< Accepts and serves, but is not `ready`; the drain can be called off.
    not_accepting,   ///< Newcomers are refused; who waited in the queue is served.
    asked_to_finish, ///< Handlers have been told; idle connections are being ended.
    waiting,         ///< Connections are left to finish.
    aborting,        ///< The deadline has passed, or the drain was escalated.
    drained,         ///< Every connection has been reported.
};

constexpr std::size_t server_phases = 7;

constexpr bool legal(server_phase from, server_phase to) noexcept {
    using enum server_phase;
    switch (from) {
    case serving:
        return to == unready;
    case unready:
        return to == serving || to == not_accepting || to == aborting;
    case not_accepting:
        return to == asked_to_finish || to == aborting;
    case asked_to_finish:
        return to == waiting || to == aborting;
    case waiting:
        return to == aborting || to == drained;
    case aborting:
        return to == drained;
    case drained:
        return false;
    }
    return false;
}

std::string_view name(server_phase phase) noexcept;

} // namespace ringdown
