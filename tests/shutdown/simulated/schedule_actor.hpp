#pragma once

#include <array>
#include <random>

#include <ringdown/ringdown.hpp>

#include "schedule_truth.hpp"

namespace schedules {

/// What the application of a schedule does on its connection until it ends it, and beside that.
///
/// Lifetime: until its scopes have ended, and `peer` and `seen` outlive it.
class actor {
public:
    actor(ringdown::loop& loop, ringdown::stream& peer, traffic& seen, std::mt19937_64& dice)
        : loop_(loop), peer_(peer), seen_(seen), dice_(dice) {}

    /// Does one thing by itself, or begins it in `inside`.
    ringdown::task<void> act(ringdown::scope& inside);
    /// The same, and everything else that a stream can do: waits for the peer's end, choices for
    /// it, receives that the ending meets, buffers that are kept, scopes that are cancelled.
    ringdown::task<void> act_freely(ringdown::scope& inside);

    [[nodiscard]] std::chrono::nanoseconds pause();
    [[nodiscard]] std::uint64_t discard_limit();
    [[nodiscard]] ringdown::ending_policy limits(); ///< Of half a second at most.

private:
    std::uint64_t below(std::uint64_t limit) { return dice_() % limit; }

    ringdown::task<void> send(std::uint64_t form, std::size_t size);
    ringdown::task<void> send_some();
    ringdown::task<void> receive();
    ringdown::task<void> receive_lease();
    ringdown::task<void> receive_on();
    ringdown::task<void> keep_lease();
    ringdown::task<void> watch_peer();
    ringdown::task<void> await_end();
    ringdown::task<void> finish_sending();
    ringdown::task<void> shut_receiving();
    ringdown::task<void> drop_until_end();
    ringdown::task<void> await_delivery();
    ringdown::task<void> act_canceled();
    ringdown::task<void> timed(ringdown::task<void> bounded);
    void choose_at_peer_end();

    ringdown::loop& loop_;
    ringdown::stream& peer_;
    traffic& seen_;
    std::mt19937_64& dice_;
    bool receiving_ = false; // one at a time
};

} // namespace schedules
