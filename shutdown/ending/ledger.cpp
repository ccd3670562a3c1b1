#include <ringdown/shutdown/ending/ledger.hpp>

#include <utility>

namespace ringdown {
namespace {

template <class Apply>
void each_count(teardown_counters& to, const teardown_counters& from, Apply apply) noexcept {
    const auto all = [&](auto& values, const auto& others) {
        for (std::size_t i = 0; i < values.size(); ++i)
            apply(values[i], others[i]);
    };
    apply(to.reports, from.reports);
    all(to.by_initiator, from.by_initiator);
    all(to.by_cause, from.by_cause);
    all(to.by_ending, from.by_ending);
    all(to.by_delivery, from.by_delivery);
    apply(to.bytes.sent, from.bytes.sent);
    apply(to.bytes.unsent, from.bytes.unsent);
    apply(to.bytes.unacknowledged, from.bytes.unacknowledged);
    apply(to.bytes.received, from.bytes.received);
    apply(to.bytes.discarded, from.bytes.discarded);
}

template <class Apply>
void each_time(teardown_counters& to, const teardown_counters& from, Apply apply) noexcept {
    apply(to.microseconds.total, from.microseconds.total);
    apply(to.microseconds.flush, from.microseconds.flush);
    apply(to.microseconds.fin_acknowledged, from.microseconds.fin_acknowledged);
    apply(to.microseconds.peer_finished, from.microseconds.peer_finished);
}

void record(time_histogram& in, const std::optional<time_histogram::duration>& reached) noexcept {
    if (reached) in.record(*reached);
}

} // namespace

void teardown_counters::add(const teardown_report& report) noexcept {
    ++reports;
    ++by_initiator[static_cast<std::size_t>(report.initiator)];
    ++by_cause[static_cast<std::size_t>(report.cause)];
    ++by_ending[static_cast<std::size_t>(report.ending)];
    ++by_delivery[static_cast<std::size_t>(report.delivery)];
    bytes.sent += report.sent_bytes;
    bytes.unsent += report.unsent_bytes;
    bytes.unacknowledged += report.unacknowledged_bytes.value_or(0);
    bytes.received += report.received_bytes;
    bytes.discarded += report.discarded_bytes;
    microseconds.total.record(report.microseconds.total);
    record(microseconds.flush, report.microseconds.flush);
    record(microseconds.fin_acknowledged, report.microseconds.fin_acknowledged);
    record(microseconds.peer_finished, report.microseconds.peer_finished);
}

void teardown_counters::add(const teardown_counters& others) noexcept {
    each_count(*this, others, [](std::uint64_t& to, std::uint64_t from) { to += from; });
    each_time(*this, others, [](time_histogram& to, const time_histogram& from) { to.add(from); });
}

void teardown_counters::subtract(const teardown_counters& earlier) noexcept {
    each_count(*this, earlier, [](std::uint64_t& to, std::uint64_t from) { to -= from; });
    each_time(*this, earlier,
              [](time_histogram& to, const time_histogram& from) { to.subtract(from); });
}

void read_counters(loop& loop, std::move_only_function<void(const teardown_counters&)> got) {
    loop.post([&loop, got = std::move(got)]() mutable { got(ledger(loop).counters()); });
}

} // namespace ringdown
