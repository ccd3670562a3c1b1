#include <ringdown/shutdown/ending/internal/patience.hpp>

#include <chrono>

#include <doctest/doctest.h>

using namespace ringdown;
using namespace std::chrono_literals;

// How long an ending waits. Times only: no loop, no clock.

namespace {

using time_point = patience::time_point;

constexpr time_point begun{1h};
constexpr auto for_ever = std::chrono::nanoseconds::max();

patience waits_for_peer(const ending_policy& limits) { return {limits, begun, true}; }

patience application_is_at_work(const ending_policy& limits) { return {limits, begun, false}; }

// Nothing is over a moment before, and that cause is from then on.
void check_over(const patience& of, time_point when, teardown_cause why) {
    CHECK(!of.over(when - 1ns));
    CHECK(of.over(when) == why);
    CHECK(of.over(when + 1ns) == why);
}

} // namespace

TEST_CASE("patience: the idle time passes first, or the deadline does") {
    const auto idle_first = waits_for_peer({.within = 30s, .idle = 5s});
    CHECK(idle_first.deadline() == begun + 30s);
    CHECK(idle_first.next(begun) == begun + 5s);
    check_over(idle_first, begun + 5s, teardown_cause::idle);

    const auto deadline_first = waits_for_peer({.within = 3s, .idle = 5s});
    CHECK(deadline_first.next(begun) == begun + 3s);
    check_over(deadline_first, begun + 3s, teardown_cause::deadline);
}

TEST_CASE("patience: where both pass in one moment, it is the deadline") {
    const auto both = waits_for_peer({.within = 5s, .idle = 5s});
    CHECK(both.next(begun) == begun + 5s);
    check_over(both, begun + 5s, teardown_cause::deadline);
}

TEST_CASE("patience: of the relative and the absolute deadline the earlier one holds") {
    const auto absolute = waits_for_peer({.within = 30s, .deadline = begun + 2s, .idle = 0s});
    CHECK(absolute.deadline() == begun + 2s);
    check_over(absolute, begun + 2s, teardown_cause::deadline);
    const auto relative = waits_for_peer({.within = 2s, .deadline = begun + 30s, .idle = 0s});
    CHECK(relative.deadline() == begun + 2s);
    check_over(relative, begun + 2s, teardown_cause::deadline);
}

TEST_CASE("patience: a deadline that has passed when the ending is asked for is over at once") {
    for (const auto& limits : {ending_policy{.within = 0s}, ending_policy{.within = -1s},
                               ending_policy{.deadline = begun - 1s}}) {
        const auto late = waits_for_peer(limits);
        CHECK(late.over(begun) == teardown_cause::deadline);
        CHECK(late.next(begun) <= begun);
    }
}

TEST_CASE("patience: the longest durations are no limit, and wrap nowhere") {
    const auto endless = waits_for_peer({.within = for_ever, .idle = for_ever});
    CHECK(endless.deadline() == time_point::max());
    CHECK(endless.next(begun) == time_point::max());
    CHECK(!endless.over(begun + 24h * 365 * 200));
    auto absolute =
        waits_for_peer({.within = for_ever, .deadline = time_point::max(), .idle = for_ever});
    CHECK(absolute.next(begun) == time_point::max());
    absolute.tighten(begun + 1s);
    check_over(absolute, begun + 1s, teardown_cause::deadline);
}

TEST_CASE("patience: without an idle time the deadline alone counts") {
    for (const auto none : {0ns, -1ns, std::chrono::nanoseconds::min()}) {
        CAPTURE(none.count());
        const auto still = waits_for_peer({.within = 30s, .idle = none});
        CHECK(still.idle() == 0ns);
        CHECK(still.next(begun) == begun + 30s);
        CHECK(still.next(begun + 29s) == begun + 30s);
        check_over(still, begun + 30s, teardown_cause::deadline);
    }
}

TEST_CASE("patience: no idle time passes while the application is at work") {
    auto working = application_is_at_work({.within = 30s, .idle = 5s});
    CHECK(working.idle() == 0ns);
    CHECK(working.next(begun) == begun + 30s);
    CHECK(!working.over(begun + 20s));

    working.begin_to_wait(begun + 20s);
    CHECK(working.idle() == 5s);
    CHECK(working.next(begun + 20s) == begun + 25s);
    check_over(working, begun + 25s, teardown_cause::idle);
}

TEST_CASE("patience: the deadline covers the application's time as well") {
    auto working = application_is_at_work({.within = 30s, .idle = 5s});
    check_over(working, begun + 30s, teardown_cause::deadline);
    working.begin_to_wait(begun + 29s);
    check_over(working, begun + 30s, teardown_cause::deadline);
}

TEST_CASE("patience: whatever moves begins the idle time anew, and leaves the deadline") {
    auto moving = waits_for_peer({.within = 12s, .idle = 5s});
    moving.note_progress(begun + 4s);
    CHECK(moving.next(begun + 4s) == begun + 9s);
    check_over(moving, begun + 9s, teardown_cause::idle);
    moving.note_progress(begun + 8s);
    CHECK(moving.deadline() == begun + 12s);
    CHECK(moving.next(begun + 8s) == begun + 12s);
    check_over(moving, begun + 12s, teardown_cause::deadline);
}

TEST_CASE("patience: progress that is older than what is known changes nothing") {
    auto moving = waits_for_peer({.within = 30s, .idle = 5s});
    moving.note_progress(begun + 4s);
    moving.note_progress(begun + 3s);
    moving.note_progress(begun - 1h); // from before the ending
    moving.note_progress({});         // nothing was ever seen to move
    check_over(moving, begun + 9s, teardown_cause::idle);

    auto asked = waits_for_peer({.within = 30s, .idle = 5s});
    asked.note_progress({});
    check_over(asked, begun + 5s, teardown_cause::idle);
}

TEST_CASE("patience: progress from before the application was done does not shorten the wait") {
    auto working = application_is_at_work({.within = 30s, .idle = 5s});
    working.note_progress(begun + 1s);
    working.begin_to_wait(begun + 10s);
    working.note_progress(begun + 2s);
    check_over(working, begun + 15s, teardown_cause::idle);
}

TEST_CASE("patience: a deadline is made earlier, and never later") {
    auto tightened = waits_for_peer({.within = 30s, .idle = 0s});
    tightened.tighten(begun + 40s);
    CHECK(tightened.deadline() == begun + 30s);
    tightened.tighten(begun + 10s);
    CHECK(tightened.deadline() == begun + 10s);
    tightened.tighten(begun + 20s);
    check_over(tightened, begun + 10s, teardown_cause::deadline);
    tightened.tighten(begun); // over already
    CHECK(tightened.next(begun + 1s) == begun);
    CHECK(tightened.over(begun) == teardown_cause::deadline);
}

TEST_CASE("patience: before the deadline, the next limit is never in the past") {
    const auto short_idle = waits_for_peer({.within = 1s, .idle = 1ms});
    for (auto now = begun; now < begun + 1s; now += 17us) {
        const auto next = short_idle.next(now);
        if (next <= now) FAIL_CHECK("at " << (now - begun).count() << " ns");
        // What has stood still for too long is a matter of 100 us, so that nobody wakes for less.
        if (next < std::min(now + 100us, begun + 1s)) FAIL_CHECK("too soon");
    }
    CHECK(short_idle.next(begun + 950us) == begun + 1050us);
    CHECK(short_idle.next(begun + 900us) == begun + 1ms);
    CHECK(short_idle.next(begun + 1s - 10us) == begun + 1s);
}

TEST_CASE("patience: what was seen to move later than now counts from then") {
    auto ahead = waits_for_peer({.within = 30s, .idle = 5s});
    ahead.note_progress(begun + 2s);
    CHECK(!ahead.over(begun + 1s));
    CHECK(ahead.next(begun + 1s) == begun + 7s);
}
