#pragma once

#include <cstdint>

#include <ringdown/shutdown/ending/report.hpp>

namespace ringdown {

/// What an ending waits for behind its FIN: at least for what its report has to tell.
enum class awaited_answer : std::uint8_t {
    acknowledgement, ///< The peer's kernel has every byte and FIN.
    peer_fin,        ///< And the peer has finished as well.
};

/// What an ending does: a row of facts, so that another ending is another row.
///
/// Nobody compares endings. Each step of one asks the plan for the fact that it depends on.
struct ending_plan {
    requested_ending called = requested_ending::none; ///< The name that its report gives.
    bool flushes = false;  ///< What was handed over is sent. Else it is dropped, by RST.
    bool says_fin = false; ///< Behind what was flushed.
    awaited_answer waits_for = awaited_answer::acknowledgement; ///< Of FIN, where it says one.
    /// The descriptor stays open: whoever waits for the ending gets it with the report. When nobody
    /// waited, it is closed with the last handle to the connection.
    bool hands_out = false;
    bool in_background = false; ///< Nobody waits; the ledger alone gets the report.

    friend bool operator==(const ending_plan&, const ending_plan&) = default;
};

namespace plans {

inline constexpr ending_plan graceful{.called = requested_ending::graceful,
                                      .flushes = true,
                                      .says_fin = true,
                                      .waits_for = awaited_answer::peer_fin};
inline constexpr ending_plan background{.called = requested_ending::background,
                                        .flushes = true,
                                        .says_fin = true,
                                        .waits_for = awaited_answer::peer_fin,
                                        .in_background = true};
inline constexpr ending_plan wait{.called = requested_ending::wait,
                                  .flushes = true,
                                  .says_fin = true,
                                  .waits_for = awaited_answer::acknowledgement};
inline constexpr ending_plan abort{.called = requested_ending::abort};
/// Nobody has asked: the connection was dropped, or its scope cancelled.
inline constexpr ending_plan unasked{.called = requested_ending::none};
inline constexpr ending_plan disconnect{.called = requested_ending::graceful,
                                        .flushes = true,
                                        .says_fin = true,
                                        .waits_for = awaited_answer::peer_fin,
                                        .hands_out = true};
inline constexpr ending_plan abort_disconnect{.called = requested_ending::abort, .hands_out = true};
inline constexpr ending_plan release{
    .called = requested_ending::release, .flushes = true, .hands_out = true};

} // namespace plans
} // namespace ringdown
