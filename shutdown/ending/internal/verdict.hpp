#pragma once

#include <cstdint>
#include <optional>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/transport.hpp>
#include <ringdown/shutdown/ending/delivery_sample.hpp>
#include <ringdown/shutdown/ending/plan.hpp>
#include <ringdown/shutdown/ending/report.hpp>

namespace ringdown {

/// All that is known of a connection when its ending is over.
struct ending_facts {
    transport_traits traits;
    plan_row plan;
    teardown_cause asked_for = teardown_cause::application; ///< Why it was to end.
    std::optional<teardown_cause> aborted_by;               ///< Why it was reset by us, if it was.
    sending_phase sending = sending_phase::open;
    receiving_phase receiving = receiving_phase::open;
    first_end ended_first = first_end::none;
    bool fins_crossed = false;
    bool truncated = false;       ///< The peer's end came while the application expected more.
    bool goodbye_missing = false; ///< The peer's layer has not said its own.
    bool misunderstood = false;   ///< A layer could not go on with what the peer sent.
    bool lost = false;            ///< An error has ended it: a reset by the peer or, without
    bool reset = false;           ///< this, the network.
    bool reset_by_close = false;  ///< Our close has met bytes that nobody had received.
    delivery_sample sample;       ///< Not taken where an empty queue has told everything.
    byte_counts bytes;

    /// Payload, and one more for FIN, that the peer's kernel has as far as is known.
    [[nodiscard]] std::uint64_t acknowledged() const noexcept;
};

/// What a report says about who ended the connection, how, why, and whether all of it arrived.
struct verdict {
    teardown_initiator initiator;
    teardown_cause cause;
    actual_ending ending;
    delivery_verdict delivery;
    teardown_phase phase;
    std::optional<std::uint64_t> unacknowledged_bytes;
    bool reset_sent;
};

/// The facts decide, and nothing else: it asks nobody, and changes nothing.
[[nodiscard]] verdict judge(const ending_facts& facts) noexcept;

} // namespace ringdown
