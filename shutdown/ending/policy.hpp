#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <ringdown/net/internal/phases.hpp>
#include <ringdown/runtime/system_calls.hpp>
#include <ringdown/shutdown/ending/plan.hpp>
#include <ringdown/shutdown/ending/report.hpp>

namespace ringdown {

/// The limits of an ending that waits for the peer; past any of them it aborts, and says so.
struct ending_policy {
    /// From the moment that the ending is asked for; includes the flush.
    std::chrono::nanoseconds within = std::chrono::seconds(30);
    /// An absolute deadline as well; the earlier of both holds.
    std::optional<system_calls::time_point> deadline{};
    /// Longest time without a byte received or acknowledged; zero: no limit.
    std::chrono::nanoseconds idle = std::chrono::seconds(5);
    /// Most bytes that are received and dropped; the largest number is no limit. What our kernel
    /// holds beside the one byte too many is dropped, and counted, as well. A peer whose FIN has
    /// come behind it is not reset any more: then the cause alone tells. While a session owes
    /// answers, what the client sends is dropped without limit; the deadline holds.
    std::uint64_t discard_bytes_max = 16 << 20;
};

/// An ending, asked for.
struct ending_request {
    ending_plan requested = plans::graceful;
    teardown_cause cause = teardown_cause::application;
    ending_policy policy{};
    /// What the application still does until `ending::let_go`; the deadline covers that time too.
    allowance allowed = allowance::nothing;
};

} // namespace ringdown
