#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include <ringdown/net/listener.hpp>
#include <ringdown/runtime/system_calls.hpp>
#include <ringdown/shutdown/ending/ledger.hpp>
#include <ringdown/shutdown/server/server_phase.hpp>
#include <ringdown/shutdown/server/snapshot.hpp>

namespace ringdown {

/// The limits of a drain. There is always a deadline, and it cuts everything else short.
struct drain_policy {
    std::chrono::nanoseconds within = std::chrono::seconds(10); ///< From the call.
    std::optional<system_calls::time_point> deadline{}; ///< Absolute; the earlier of both holds.

    /// Time in `unready`, in which whoever directs clients here can learn of it.
    std::chrono::nanoseconds unready_for{0};
    /// Time between `draining` and `final_notice`, in which idle connections stay open, so that
    /// handlers can tell their peers with an answer (`Connection: close`, GOAWAY) and requests
    /// that were sent before the peers learned of it still arrive; at the latest until half of the
    /// time is over. Zero for protocols that cannot announce their end: they would only wait.
    std::chrono::nanoseconds notice_for = std::chrono::milliseconds(300);
    /// Idle connections are ended evenly over this time; zero: at once.
    std::chrono::nanoseconds spread{0};
    /// A connection that has not sent anything counts as idle only when it is this old, since its
    /// first request may be on its way; at the latest when half of the time is over.
    std::chrono::nanoseconds first_request_within = std::chrono::seconds(1);

    /// Limits of the endings of idle connections, as in `ending_policy`; their deadline is the
    /// drain's.
    /// @{
    std::chrono::nanoseconds idle = std::chrono::seconds(5);
    std::uint64_t discard_bytes_max = 16 << 20;
    /// @}

    /// The longest wait for handshakes that had begun when newcomers were refused; it is over as
    /// soon as the kernel counts none. Where the kernel does not count them, the wait is twice the
    /// longest round trip of up to 64 of the open connections, and 10 ms at least.
    std::chrono::nanoseconds handshakes_within = handshake_patience().within;

    /// Another process accepts from the same listening socket: newcomers are left to it. (Servers
    /// of this process that share a socket do that by themselves, up to the last one.)
    bool hand_over = false;
};

/// What a drain came to.
struct drain_report {
    std::uint64_t accepts = 0; ///< Over the server's whole life; `reports` equals it once drained.
    std::uint64_t reports = 0;
    teardown_counters connections{}; ///< Of the reports made since the drain began.
    /// What was left at the deadline, or when somebody escalated: aborted, and where only the
    /// handler was left, that cancelled.
    std::vector<connection_snapshot> stragglers{};
    bool escalated = false;
    bool called_off = false; ///< The server serves on.
    /// How newcomers were kept away. With `denied`, clients that connected as the socket was closed
    /// were reset; so were, whatever it says, those in the queue of a drain that aborted before it
    /// had served them.
    refusal newcomers = refusal::none;
    std::chrono::nanoseconds took{0};
    /// Adds up to `took`.
    std::array<std::chrono::nanoseconds, server_phases> by_phase{};

    [[nodiscard]] std::chrono::nanoseconds time_in(server_phase phase) const noexcept {
        return by_phase[static_cast<std::size_t>(phase)];
    }
};

} // namespace ringdown
