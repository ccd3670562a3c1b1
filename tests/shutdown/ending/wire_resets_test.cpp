#include "support/wire_resets.hpp"

#include <initializer_list>

#include <doctest/doctest.h>

using namespace ringdown;
using namespace ringdown::testing;

namespace {

constexpr std::uint16_t ours = 1000;
constexpr std::uint16_t theirs = 2000;

wire_segment fin(std::uint16_t from, std::uint16_t to) {
    return {.from = from, .to = to, .fin = true, .ack = true};
}

wire_segment own_reset() { return {.from = ours, .to = theirs, .rst = true, .ack = true}; }

wire_segment answer() { return {.from = ours, .to = theirs, .rst = true}; }

std::uint64_t counted(std::initializer_list<wire_segment> all) {
    wire_resets resets;
    for (const wire_segment& each : all)
        resets.add(each);
    return resets.sent_by({ours});
}

} // namespace

TEST_CASE(
    "wire resets: a socket's own is counted, with answers to stragglers on either side of it") {
    CHECK(counted({own_reset()}) == 1);
    CHECK(counted({own_reset(), answer(), answer()}) == 1);
    CHECK(counted({answer(), own_reset()}) == 1);
    CHECK(counted({fin(ours, theirs), answer(), answer(), own_reset(), answer()}) == 1);
}

TEST_CASE("wire resets: an answer for a socket that was gone too early is counted") {
    CHECK(counted({answer()}) == 1);
    CHECK(counted({fin(ours, theirs), answer()}) == 1);
}

TEST_CASE("wire resets: none for a segment sent twice behind both FINs") {
    CHECK(counted({fin(ours, theirs), fin(theirs, ours), answer()}) == 0);
}
