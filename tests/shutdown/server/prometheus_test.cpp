#include <algorithm>
#include <map>
#include <sstream>

#include <doctest/doctest.h>

#include <ringdown/shutdown/server/prometheus.hpp>

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

// The samples by the text before their value. A real parser reads them in tests/examples.
std::map<std::string, std::string> samples(const std::string& text) {
    std::map<std::string, std::string> found;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("#")) continue;
        const auto space = line.rfind(' ');
        REQUIRE(space != std::string::npos);
        const bool first = found.emplace(line.substr(0, space), line.substr(space + 1)).second;
        CHECK_MESSAGE(first, "twice: " << line);
    }
    return found;
}

teardown_report report_of(actual_ending ending, std::chrono::microseconds total) {
    teardown_report made;
    made.ending = ending;
    made.delivery = delivery_verdict::acknowledged;
    made.sent_bytes = 1000;
    made.received_bytes = 20;
    made.discarded_bytes = 3;
    made.unsent_bytes = 7;
    made.unacknowledged_bytes = 5;
    made.microseconds.total = total;
    return made;
}

} // namespace

TEST_CASE("prometheus: every value of every label is there from the start, as 0") {
    const auto found = samples(prometheus_text({}, prometheus_standing{}));
    for (const std::string_view each :
         {"graceful", "delivered", "degraded", "aborted", "reset", "lost", "closed"})
        CHECK(found.at("ringdown_connections_ended_total{ending=\"" + std::string(each) + "\"}") ==
              "0");
    CHECK(found.at("ringdown_ending_causes_total{cause=\"network_timeout\"}") == "0");
    CHECK(found.at("ringdown_ending_initiators_total{initiator=\"kernel\"}") == "0");
    CHECK(found.at("ringdown_ending_deliveries_total{delivery=\"unknown\"}") == "0");
    CHECK(found.at("ringdown_ending_duration_seconds_bucket{le=\"+Inf\"}") == "0");
    CHECK(found.at("ringdown_ending_duration_seconds_sum") == "0");
    const auto valued = [&](std::string_view family) {
        return std::ranges::count_if(
            found, [&](const auto& each) { return each.first.starts_with(family); });
    };
    CHECK(valued("ringdown_connections_ended_total{") == 8);
    CHECK(valued("ringdown_ending_causes_total{") == 12);
    CHECK(valued("ringdown_ending_initiators_total{") == 4);
    CHECK(valued("ringdown_ending_deliveries_total{") == 3);
}

TEST_CASE("prometheus: what was counted stands at its value") {
    teardown_counters counters;
    counters.add(report_of(actual_ending::graceful, 15us));
    counters.add(report_of(actual_ending::graceful, 16us));
    counters.add(report_of(actual_ending::reset, 1'500'000us));
    const auto found = samples(prometheus_text(counters, prometheus_standing{12, 9, true}));

    CHECK(found.at("ringdown_connections_accepted_total") == "12");
    CHECK(found.at("ringdown_connections_open") == "9");
    CHECK(found.at("ringdown_draining") == "1");
    CHECK(found.at("ringdown_connections_ended_total{ending=\"graceful\"}") == "2");
    CHECK(found.at("ringdown_connections_ended_total{ending=\"reset\"}") == "1");
    CHECK(found.at("ringdown_ending_deliveries_total{delivery=\"acknowledged\"}") == "3");
    CHECK(found.at("ringdown_sent_bytes_total") == "3000");
    CHECK(found.at("ringdown_unsent_bytes_total") == "21");
    CHECK(found.at("ringdown_unacknowledged_bytes_total") == "15");
    CHECK(found.at("ringdown_received_bytes_total") == "60");
    CHECK(found.at("ringdown_discarded_bytes_total") == "9");
    const std::string ending = "ringdown_ending_duration_seconds_";
    CHECK(found.at(ending + "bucket{le=\"0.000016\"}") == "1");
    CHECK(found.at(ending + "bucket{le=\"0.000032\"}") == "2");
    CHECK(found.at(ending + "bucket{le=\"1.048576\"}") == "2");
    CHECK(found.at(ending + "bucket{le=\"2.097152\"}") == "3");
    CHECK(found.at(ending + "bucket{le=\"67.108864\"}") == "3");
    CHECK(found.at(ending + "bucket{le=\"+Inf\"}") == "3");
    CHECK(found.at(ending + "sum") == "1.500031");
    CHECK(found.at(ending + "count") == "3");
    CHECK(found.at("ringdown_ending_flush_duration_seconds_count") == "0");
}

TEST_CASE("prometheus: without a standing only what the counters hold is told") {
    const auto found = samples(prometheus_text({}));
    CHECK(found.count("ringdown_connections_open") == 0);
    CHECK(found.count("ringdown_sent_bytes_total") == 1);
}

TEST_CASE("prometheus: common labels are on every sample, escaped") {
    const prometheus_label labels[] = {{"server", "a \"b\" \\ c\nd"}, {"zone", "é"}};
    const std::string text = prometheus_text({}, prometheus_standing{}, labels);
    const std::string common = "server=\"a \\\"b\\\" \\\\ c\\nd\",zone=\"é\"";
    const auto found = samples(text);
    for (const auto& [name, value] : found)
        CHECK_MESSAGE(name.find("{" + common) != std::string::npos, name);
    CHECK(found.count("ringdown_sent_bytes_total{" + common + "}") == 1);
    CHECK(found.count("ringdown_ending_duration_seconds_bucket{" + common + ",le=\"+Inf\"}") == 1);
}

TEST_CASE("prometheus: each family has its help and type, once and in front") {
    std::istringstream lines(prometheus_text({}, prometheus_standing{}));
    std::string family;
    std::size_t families = 0;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("# HELP ")) {
            family = line.substr(7, line.find(' ', 7) - 7);
            ++families;
            std::string type;
            std::getline(lines, type);
            CHECK(type.starts_with("# TYPE " + family + " "));
        } else {
            CHECK(line.starts_with(family));
        }
    }
    CHECK(families == 16);
}
