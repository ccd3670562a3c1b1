#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include <ringdown/runtime/loop.hpp>
#include <ringdown/shutdown/ending/histogram.hpp>
#include <ringdown/shutdown/ending/report.hpp>

namespace ringdown {

/// What reports add up to: how many had which values, their bytes, and how long endings took.
///
/// Each group of counts adds up to `reports`. Adding a report costs some ten nanoseconds and
/// allocates nothing.
struct teardown_counters {
    std::uint64_t reports = 0;
    std::array<std::uint64_t, 4> by_initiator{};
    std::array<std::uint64_t, 12> by_cause{};
    std::array<std::uint64_t, 8> by_ending{};
    std::array<std::uint64_t, 3> by_delivery{};

    /// The sums of the reports' fields with these names. Where a report cannot tell what was
    /// unacknowledged, it counts as 0.
    struct byte_totals {
        std::uint64_t sent = 0;
        std::uint64_t unsent = 0;
        std::uint64_t unacknowledged = 0;
        std::uint64_t received = 0;
        std::uint64_t discarded = 0;
    };
    byte_totals bytes;

    /// How long each step took from the request to end; a step that was not reached is not counted,
    /// so `total` has every report and the others have what came that far.
    struct times {
        time_histogram total;
        time_histogram flush;
        time_histogram fin_acknowledged;
        time_histogram peer_finished;
    };
    times microseconds;

    void add(const teardown_report& report) noexcept;
    void add(const teardown_counters& others) noexcept;
    /// Takes away what had been counted by then; `earlier` is a copy of these.
    void subtract(const teardown_counters& earlier) noexcept;

    [[nodiscard]] std::uint64_t count(teardown_initiator value) const noexcept {
        return by_initiator[static_cast<std::size_t>(value)];
    }
    [[nodiscard]] std::uint64_t count(teardown_cause value) const noexcept {
        return by_cause[static_cast<std::size_t>(value)];
    }
    [[nodiscard]] std::uint64_t count(actual_ending value) const noexcept {
        return by_ending[static_cast<std::size_t>(value)];
    }
    [[nodiscard]] std::uint64_t count(delivery_verdict value) const noexcept {
        return by_delivery[static_cast<std::size_t>(value)];
    }
};

/// Every report of one loop: also those of connections that nobody waits for.
class teardown_ledger final : public loop_service {
public:
    explicit teardown_ledger(loop& counted) noexcept : loop_(counted) {}

    [[nodiscard]] const teardown_counters& counters() const noexcept { return counters_; }

    /// Called with each report as its connection ends; must not wait. Replaces the one before, and
    /// is not replaced from within itself. What it throws is kept, see `loop::callback_failures`:
    /// the report has been counted, and goes to whoever else is to have it.
    void on_report(std::function<void(const teardown_report&)> sink) { sink_ = std::move(sink); }

    void enter(const teardown_report& report) noexcept {
        counters_.add(report);
        if (sink_) loop_.call_back(sink_, report);
    }

private:
    loop& loop_;
    teardown_counters counters_;
    std::function<void(const teardown_report&)> sink_;
};

/// The ledger of a loop.
inline teardown_ledger& ledger(loop& loop) { return loop.service<teardown_ledger>(); }

/// Reads the counters of another thread's loop: `got` is called with them on that thread, soon.
///
/// A ledger belongs to its loop and has no atomics, so its numbers are taken where they are made;
/// `got` copies what it wants and must not wait. To merge several loops, let each `got` post its
/// copy to the loop that adds them up. What `got` throws is kept by the loop that is read, see
/// `loop::callback_failures`.
/// A loop that has ended its run calls nothing any more: once its thread is joined, read
/// `ledger(of).counters()` directly. Threads: any.
void read_counters(loop& loop, std::move_only_function<void(const teardown_counters&)> got);

} // namespace ringdown
