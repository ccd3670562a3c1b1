#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "schedule.hpp"

namespace {

using schedules::way;

// One schedule again: the seed that a failure printed.
std::uint64_t first_seed() {
    const char* asked = std::getenv("RINGDOWN_SEED");
    return asked ? std::strtoull(asked, nullptr, 10) : 1;
}

void drive(way how, bool layered = false) {
    // A layer changes what goes over the wire, and little of what can happen.
    const std::uint64_t asked = schedules::of_each() / (layered ? 4 : 1);
    const std::uint64_t count = std::getenv("RINGDOWN_SEED") ? 1 : asked;
    for (std::uint64_t seed = first_seed(); seed < first_seed() + count; ++seed) {
        const auto outcome = schedules::run({.how = how, .seed = seed, .layered = layered});
        std::string complaints;
        for (const std::string& each : outcome.complaints)
            complaints += each + "; ";
        CAPTURE(schedules::name(how));
        CAPTURE(seed);
        CAPTURE(outcome.peer);
        REQUIRE(complaints == "");
    }
}

} // namespace

TEST_CASE("schedules: graceful_close keeps its promises in any order of events") {
    drive(way::graceful);
}
TEST_CASE("schedules: abort_close keeps its promises in any order of events") { drive(way::abort); }
TEST_CASE("schedules: close in the background keeps its promises in any order of events") {
    drive(way::background);
}
TEST_CASE("schedules: close with a wait keeps its promises in any order of events") {
    drive(way::wait);
}
TEST_CASE("schedules: a dropped stream keeps its promises in any order of events") {
    drive(way::dropped);
}
TEST_CASE("schedules: a cancelled scope keeps its promises in any order of events") {
    drive(way::scope_canceled);
}
TEST_CASE("schedules: a loop that ends keeps its promises in any order of events") {
    drive(way::loop_ends);
}

TEST_CASE("schedules: disconnect keeps its promises in any order of events") {
    drive(way::disconnect);
}
TEST_CASE("schedules: release keeps its promises in any order of events") { drive(way::release); }

TEST_CASE("schedules: a server's session keeps its promises in any order of events") {
    drive(way::session_server);
}
TEST_CASE("schedules: a client's session keeps its promises in any order of events") {
    drive(way::session_client);
}

TEST_CASE("schedules: whatever is called keeps its promises in any order of events") {
    drive(way::any);
}

TEST_CASE("schedules above a layer: graceful_close keeps its promises in any order of events") {
    drive(way::graceful, true);
}
TEST_CASE("schedules above a layer: abort_close keeps its promises in any order of events") {
    drive(way::abort, true);
}
TEST_CASE(
    "schedules above a layer: close in the background keeps its promises in any order of events") {
    drive(way::background, true);
}
TEST_CASE("schedules above a layer: close with a wait keeps its promises in any order of events") {
    drive(way::wait, true);
}
TEST_CASE("schedules above a layer: a dropped stream keeps its promises in any order of events") {
    drive(way::dropped, true);
}
TEST_CASE("schedules above a layer: a cancelled scope keeps its promises in any order of events") {
    drive(way::scope_canceled, true);
}
TEST_CASE("schedules above a layer: a loop that ends keeps its promises in any order of events") {
    drive(way::loop_ends, true);
}
TEST_CASE("schedules above a layer: disconnect keeps its promises in any order of events") {
    drive(way::disconnect, true);
}
TEST_CASE("schedules above a layer: release keeps its promises in any order of events") {
    drive(way::release, true);
}
TEST_CASE("schedules above a layer: a server's session keeps its promises in any order of events") {
    drive(way::session_server, true);
}
TEST_CASE("schedules above a layer: a client's session keeps its promises in any order of events") {
    drive(way::session_client, true);
}
TEST_CASE("schedules above a layer: whatever is called keeps its promises in any order of events") {
    drive(way::any, true);
}

TEST_CASE("schedules: a completion that is dropped does not go unnoticed") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        const auto whole = schedules::run({.how = way::graceful, .seed = seed});
        if (whole.completions == 0) continue;
        const std::uint64_t dropped = 1 + seed % whole.completions;
        const auto outcome =
            schedules::run({.how = way::graceful, .seed = seed, .drop_completion = dropped});
        CAPTURE(seed);
        CAPTURE(dropped);
        CHECK(!outcome.complaints.empty());
    }
}
