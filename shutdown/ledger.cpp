#include <ringdown/shutdown/ledger.hpp>

namespace ringdown {
namespace {

template <std::size_t N>
void add_each(std::array<std::uint64_t, N>& to, const std::array<std::uint64_t, N>& from) noexcept {
    for (std::size_t i = 0; i < N; ++i) to[i] += from[i];
}

}  // namespace

void teardown_counters::add(const teardown_report& report) noexcept {
    ++reports;
    ++by_initiator[static_cast<std::size_t>(report.initiator)];
    ++by_cause[static_cast<std::size_t>(report.cause)];
    ++by_ending[static_cast<std::size_t>(report.ending)];
    ++by_delivery[static_cast<std::size_t>(report.delivery)];
}

void teardown_counters::add(const teardown_counters& others) noexcept {
    reports += others.reports;
    add_each(by_initiator, others.by_initiator);
    add_each(by_cause, others.by_cause);
    add_each(by_ending, others.by_ending);
    add_each(by_delivery, others.by_delivery);
}

}  // namespace ringdown
