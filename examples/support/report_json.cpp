#include "report_json.hpp"

#include <cstring>

namespace examples {
namespace {

using json = nlohmann::ordered_json;

json time(const std::optional<std::chrono::microseconds>& reached) {
    return reached ? json(reached->count()) : json(nullptr);
}

// System errors by the name that the manuals use.
json error_name(const std::error_code& error) {
    if (!error) return nullptr;
    if (error.category() == std::system_category())
        if (const char* known = strerrorname_np(error.value())) return known;
    return error.message();
}

template <class Value, std::size_t N>
json counts(const std::array<std::uint64_t, N>& values) {
    json object = json::object();
    for (std::size_t i = 0; i < N; ++i)
        if (values[i] > 0) object[std::string(ringdown::name(static_cast<Value>(i)))] = values[i];
    return object;
}

} // namespace

json to_json(const ringdown::teardown_report& report) {
    const auto& times = report.microseconds;
    return {
        {"connection", report.connection},
        {"peer", report.peer.text()},
        {"initiator", ringdown::name(report.initiator)},
        {"cause", ringdown::name(report.cause)},
        {"requested", ringdown::name(report.requested)},
        {"ending", ringdown::name(report.ending)},
        {"delivery", ringdown::name(report.delivery)},
        {"sent_bytes", report.sent_bytes},
        {"unsent_bytes", report.unsent_bytes},
        {"unacknowledged_bytes",
         report.unacknowledged_bytes ? json(*report.unacknowledged_bytes) : json(nullptr)},
        {"received_bytes", report.received_bytes},
        {"discarded_bytes", report.discarded_bytes},
        {"peer_finished", report.peer_finished},
        {"reset_sent", report.reset_sent},
        {"reset_received", report.reset_received},
        {"phase", ringdown::name(report.phase)},
        {"error", error_name(report.error)},
        {"microseconds",
         {{"flush", time(times.flush)},
          {"fin_acknowledged", time(times.fin_acknowledged)},
          {"peer_finished", time(times.peer_finished)},
          {"total", times.total.count()}}},
    };
}

json to_json(const ringdown::teardown_counters& counters) {
    return {
        {"initiator", counts<ringdown::teardown_initiator>(counters.by_initiator)},
        {"ending", counts<ringdown::actual_ending>(counters.by_ending)},
        {"cause", counts<ringdown::teardown_cause>(counters.by_cause)},
        {"delivery", counts<ringdown::delivery_verdict>(counters.by_delivery)},
    };
}

} // namespace examples
