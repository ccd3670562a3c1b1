#pragma once

#include <cstdint>

#include <ringdown/shutdown/ending/report.hpp>

namespace ringdown {

/// What an ending waits for behind its FIN: at least for what its report has to tell.
enum class awaited_answer : std::uint8_t {
    acknowledgement, ///< The peer's kernel has every byte and FIN.
    peer_fin,        ///< And the peer has finished as well.
};

/// What an ending does, as a row of facts.
struct plan_row {
    requested_ending called = requested_ending::none; ///< The name that its report gives.
    bool flushes = false;  ///< What was handed over is sent. Else it is dropped, by RST.
    bool says_fin = false; ///< Behind what was flushed.
    awaited_answer waits_for = awaited_answer::acknowledgement; ///< Of FIN, where it says one.
    /// The descriptor stays open: whoever waits for the ending gets it with the report. When nobody
    /// waited, it is closed with the last handle to the connection.
    bool hands_out = false;
    bool in_background = false; ///< Nobody waits; the ledger alone gets the report.

    /// The connection lives on, in the hands of the application.
    [[nodiscard]] constexpr bool releases() const noexcept { return flushes && !says_fin; }

    friend bool operator==(const plan_row&, const plan_row&) = default;
};

/// The plan of an ending: one of `plans`, the same by the name that reports give, or a row of your
/// own: another ending is another row.
///
/// Nobody compares endings. Each step of one asks the plan for the fact that it depends on.
struct ending_plan : plan_row {
    constexpr ending_plan(const plan_row& row) noexcept : plan_row(row) {}
    constexpr ending_plan(requested_ending asked) noexcept;
};

namespace plans {

inline constexpr plan_row graceful{.called = requested_ending::graceful,
                                   .flushes = true,
                                   .says_fin = true,
                                   .waits_for = awaited_answer::peer_fin};
inline constexpr plan_row background{.called = requested_ending::background,
                                     .flushes = true,
                                     .says_fin = true,
                                     .waits_for = awaited_answer::peer_fin,
                                     .in_background = true};
inline constexpr plan_row wait{.called = requested_ending::wait,
                               .flushes = true,
                               .says_fin = true,
                               .waits_for = awaited_answer::acknowledgement};
inline constexpr plan_row abort{.called = requested_ending::abort};
/// Nobody has asked: the connection was dropped, or its scope cancelled.
inline constexpr plan_row unasked{.called = requested_ending::none};
inline constexpr plan_row disconnect{.called = requested_ending::graceful,
                                     .flushes = true,
                                     .says_fin = true,
                                     .waits_for = awaited_answer::peer_fin,
                                     .hands_out = true};
inline constexpr plan_row abort_disconnect{.called = requested_ending::abort, .hands_out = true};
inline constexpr plan_row release{
    .called = requested_ending::release, .flushes = true, .hands_out = true};

} // namespace plans

constexpr ending_plan::ending_plan(requested_ending asked) noexcept : plan_row(plans::graceful) {
    for (const plan_row& row :
         {plans::abort, plans::background, plans::wait, plans::unasked, plans::release})
        if (row.called == asked) static_cast<plan_row&>(*this) = row;
}

} // namespace ringdown
