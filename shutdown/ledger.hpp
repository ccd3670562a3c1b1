#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include <ringdown/runtime/loop.hpp>
#include <ringdown/shutdown/report.hpp>

namespace ringdown {

/// How many reports had which values; each group adds up to `reports`.
struct teardown_counters {
    std::uint64_t reports = 0;
    std::array<std::uint64_t, 4> by_initiator{};
    std::array<std::uint64_t, 12> by_cause{};
    std::array<std::uint64_t, 8> by_ending{};
    std::array<std::uint64_t, 3> by_delivery{};

    void add(const teardown_report& report) noexcept;
    void add(const teardown_counters& others) noexcept;
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
    explicit teardown_ledger(loop&) noexcept {}

    [[nodiscard]] const teardown_counters& counters() const noexcept { return counters_; }

    /// Called with each report as its connection ends; must not wait. Replaces the one before.
    void on_report(std::function<void(const teardown_report&)> sink) { sink_ = std::move(sink); }

    void enter(const teardown_report& report) {
        counters_.add(report);
        if (sink_) sink_(report);
    }

private:
    teardown_counters counters_;
    std::function<void(const teardown_report&)> sink_;
};

/// The ledger of a loop.
inline teardown_ledger& ledger(loop& of) { return of.service<teardown_ledger>(); }

} // namespace ringdown
