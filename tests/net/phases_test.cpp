#include <initializer_list>

#include <doctest/doctest.h>

#include <ringdown/net/internal/phases.hpp>

using namespace ringdown;

TEST_CASE("phases: sending goes one step at a time, and never back") {
    using enum sending_phase;
    constexpr sending_phase all[] = {open, flushing, fin_sent, fin_acknowledged};
    for (const auto from : all)
        for (const auto to : all)
            CHECK(legal(from, to) == (static_cast<int>(to) - static_cast<int>(from) == 1));
}

TEST_CASE("phases: what finished receiving, or was reset, stays so") {
    using enum receiving_phase;
    for (const auto to : {discarding, finished, reset})
        CHECK(legal(open, to));
    for (const auto to : {finished, reset})
        CHECK(legal(discarding, to));
    for (const auto from : {open, discarding, finished, reset}) {
        CHECK_FALSE(legal(from, from));
        CHECK_FALSE(legal(from, open));
        CHECK_FALSE(legal(finished, from));
        CHECK_FALSE(legal(reset, from));
    }
}

TEST_CASE("phases: a connection is joined before it is closed, and aborts only before that") {
    using enum life_phase;
    CHECK(legal(open, ending));
    CHECK(legal(open, aborting));
    CHECK(legal(ending, aborting));
    CHECK(legal(ending, joined));
    CHECK(legal(aborting, joined));
    CHECK(legal(joined, closed));
    CHECK_FALSE(legal(open, joined));
    CHECK_FALSE(legal(open, closed));
    CHECK_FALSE(legal(ending, closed));
    CHECK_FALSE(legal(aborting, ending));
    CHECK_FALSE(legal(aborting, closed));
    CHECK_FALSE(legal(joined, aborting));
    for (const auto to : {open, ending, aborting, joined, closed}) {
        CHECK_FALSE(legal(closed, to));
        CHECK_FALSE(legal(to, open));
    }
}
