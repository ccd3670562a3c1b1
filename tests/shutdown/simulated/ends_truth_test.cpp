#include "sim_rig.hpp"

#include <array>
#include <random>

using namespace ringdown;
using namespace ringdown::testing;

// What is told of the peer's end is what happened, in any order of events: FIN only of a peer that
// has finished, a reset only of one that has reset, delivery only of what was acknowledged.

namespace {

peer_script peer_of(std::mt19937_64& dice) {
    const auto below = [&dice](std::uint64_t limit) { return dice() % limit; };
    peer_script peer;
    peer.latency = std::chrono::microseconds(1 + below(20));
    peer.ack_delay = std::chrono::microseconds(below(2) * below(500));
    peer.fast_open = below(4) == 0;
    peer.pause(std::chrono::microseconds(below(60)));
    if (below(2) == 0) peer.write(std::string(1 + below(40), 'x'));
    if (below(2) == 0) peer.finish().pause(std::chrono::microseconds(below(60)));
    if (below(3) > 0) peer.reset();
    return peer;
}

struct answers {
    std::optional<result<peer_end>> closed, ended;
    std::optional<result<void>> delivery;
};

task<void> watch_closed(stream& ours, answers& into) { into.closed = co_await peer_closed(ours); }
task<void> watch_ended(stream& ours, answers& into) { into.ended = co_await peer_ended(ours); }
task<void> watch_delivery(stream& ours, answers& into) { into.delivery = co_await delivered(ours); }

task<void> receive(stream& ours) {
    std::array<std::byte, 16> into;
    for (;;) {
        const auto got = co_await ours.recv(into);
        if (!got) co_return;
    }
}

task<void> send(stream& ours) {
    static const std::vector<std::byte> data(3'000);
    static_cast<void>(co_await ours.send(data));
}

void check(const std::optional<result<peer_end>>& told, const sim_truth& truth) {
    if (!told || !told->has_value()) return;
    if (**told == peer_end::finished) CHECK(truth.peer_finished);
    if (**told == peer_end::reset) CHECK(truth.reset_received);
}

} // namespace

TEST_CASE("ends: told of a peer is what it did, in any order of events") {
    std::size_t adopted = 0;
    for (std::uint64_t seed = 1; seed <= 3'000; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 dice(seed);
        const auto below = [&dice](std::uint64_t limit) { return dice() % limit; };
        sim_rig at({.seed = seed});
        answers told;
        at.run([&]() -> task<void> {
            const int fd = at.kernel.adopt_peer(peer_of(dice));
            auto taken = adopt(at.loop, fd);
            if (!taken) { // it was quicker
                CHECK(at.kernel.truth(0).reset_received);
                at.kernel.close(fd);
                co_return;
            }
            stream ours = std::move(*taken);
            ++adopted;
            auto body = [&](scope& inside) -> task<void> {
                inside.spawn(watch_closed(ours, told));
                if (below(2) == 0) inside.spawn(watch_ended(ours, told));
                if (below(2) == 0) inside.spawn(receive(ours));
                if (below(2) == 0) inside.spawn(send(ours));
                if (below(4) == 0) inside.spawn(watch_delivery(ours, told));
                co_await sleep_for(std::chrono::microseconds(below(200)));
                if (below(2) == 0)
                    co_await graceful_close(ours, {.within = 1s});
                else
                    co_await sleep_for(10ms);
                inside.cancel();
            };
            co_await with_scope(body);
            co_await abort_close(ours);
        });
        const sim_truth& truth = at.kernel.truth(0);
        check(told.closed, truth);
        check(told.ended, truth);
        if (at.reports.empty()) continue;
        REQUIRE(at.reports.size() == 1);
        const teardown_report& report = at.reports[0];
        if (report.delivery == delivery_verdict::acknowledged)
            CHECK(truth.acknowledged == truth.accepted);
        if (report.reset_received) CHECK(truth.reset_received);
        if (report.peer_finished) CHECK(truth.peer_finished);
        if (report.microseconds.fin_acknowledged) CHECK(truth.fin_acknowledged);
    }
    CHECK(adopted > 2'000);
}
