#include <ringdown/shutdown/ledger.hpp>

namespace ringdown {
namespace {

template <class Apply>
void each(teardown_counters& to, const teardown_counters& from, Apply apply) noexcept {
    const auto all = [&](auto& values, const auto& others) {
        for (std::size_t i = 0; i < values.size(); ++i)
            apply(values[i], others[i]);
    };
    apply(to.reports, from.reports);
    all(to.by_initiator, from.by_initiator);
    all(to.by_cause, from.by_cause);
    all(to.by_ending, from.by_ending);
    all(to.by_delivery, from.by_delivery);
}

} // namespace

void teardown_counters::add(const teardown_report& report) noexcept {
    ++reports;
    ++by_initiator[static_cast<std::size_t>(report.initiator)];
    ++by_cause[static_cast<std::size_t>(report.cause)];
    ++by_ending[static_cast<std::size_t>(report.ending)];
    ++by_delivery[static_cast<std::size_t>(report.delivery)];
}

void teardown_counters::add(const teardown_counters& others) noexcept {
    each(*this, others, [](std::uint64_t& to, std::uint64_t from) { to += from; });
}

void teardown_counters::subtract(const teardown_counters& earlier) noexcept {
    each(*this, earlier, [](std::uint64_t& to, std::uint64_t from) { to -= from; });
}

} // namespace ringdown
