#include <map>
#include <optional>

#include <doctest/doctest.h>

#include "../support/sim_setting.hpp"

using namespace ringdown;
using namespace ringdown::sim_tests;

// What must hold in every order that the dice of the simulated kernel make.

namespace {

// What a library would do with one connection, raw: send, FIN, discard until the end, join, close.
std::vector<seen> talk(std::uint64_t seed, bool& delivered_whole) {
    setting with({.seed = seed, .submission_entries_max = 4, .completion_entries_max = 4});
    const int fd = with.kernel.adopt_peer(peer_script::random(seed));
    std::string data(30'000, ' ');
    for (std::size_t i = 0; i < data.size(); ++i)
        data[i] = sim_payload(i);
    with.add(1, [&](auto* sqe) {
        io_uring_prep_send(sqe, fd, data.data(), data.size(), MSG_WAITALL);
        sqe->flags |= IOSQE_IO_LINK;
    });
    with.add(2, [&](auto* sqe) { io_uring_prep_shutdown(sqe, fd, SHUT_WR); });
    auto discard = [&] {
        with.add(3, [&](auto* sqe) { io_uring_prep_recv(sqe, fd, nullptr, 1 << 20, MSG_TRUNC); });
    };
    discard();
    std::map<std::uint64_t, bool> in_flight{{1, true}, {2, true}, {3, true}};
    std::vector<seen> log;
    std::uint64_t discarded = 0;
    std::uint64_t cancels = 100;
    const auto deadline = with.kernel.now() + 2s;
    auto busy = [&] { return in_flight[1] || in_flight[2] || in_flight[3]; };
    while (busy()) {
        const bool late = with.kernel.now() >= deadline;
        if (late && cancels == 100)
            for (std::uint64_t each = 1; each <= 3; ++each)
                if (in_flight[each]) with.cancel(++cancels, each);
        with.queue.enter(true, late ? std::nullopt : std::optional(deadline));
        bool again = false;
        with.queue.reap([&](std::uint64_t name, completion what) {
            log.push_back({name, what.result, what.flags});
            in_flight[name] = what.more();
            if (name == 3 && what.result > 0) {
                discarded += static_cast<std::uint64_t>(what.result);
                again = with.kernel.now() < deadline && discarded < 1'000'000;
            }
        });
        if (again) discard(), in_flight[3] = true;
    }
    const int left = with.unacknowledged(fd);
    const sim_truth& truth = with.kernel.truth(0);
    if (with.kernel.state(0) != 7) with.abort(fd);
    with.kernel.close(fd);
    delivered_whole = truth.arrived == data.size();
    CAPTURE(peer_script::random(seed).describe());
    CHECK(with.kernel.arrived(0) == std::string_view(data).substr(0, truth.arrived));
    CHECK(discarded == truth.taken);
    CHECK(truth.acknowledged <= truth.arrived);
    if (left == 0) CHECK(truth.arrived == truth.accepted);
    CHECK(with.kernel.operations_in_flight() == 0);
    CHECK(with.kernel.violations().empty());
    return log;
}

} // namespace

TEST_CASE("sim_kernel: a cancel comes in time, too late, or while it is running; no byte is lost") {
    std::map<int, int> answers;
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        CAPTURE(seed);
        setting with({.seed = seed, .late_cancel = seed % 2 * 1ms});
        const int fd = with.kernel.adopt_peer(peer_script().pause(seed % 8 * 5us).write("data"));
        with.receive(1, fd);
        with.pass(seed % 5 * 20us);
        with.cancel(2, 1);
        std::map<std::uint64_t, int> results;
        const auto asked = with.kernel.now();
        auto ended = asked;
        while (with.kernel.now() < asked + 10ms) {
            with.queue.enter(true, asked + 10ms);
            with.queue.reap([&](auto name, completion what) {
                CHECK(results.emplace(name, what.result).second);
                if (name == 1) ended = with.kernel.now();
            });
        }
        CHECK(results.contains(2));
        ++answers[results[2]];
        if (results[2] == 0) CHECK(ended >= asked + seed % 2 * 1ms);
        const int left = with.kernel.recv(fd, with.buffer, 100, MSG_DONTWAIT);
        if (results.contains(1)) CHECK(std::max(results[1], 0) + std::max(left, 0) == 4);
        CHECK(with.kernel.operations_in_flight() == 0);
    }
    CHECK(answers[0] > 10);
    CHECK(answers[-EALREADY] > 10);
    CHECK(answers[-ENOENT] > 10);
}

TEST_CASE("sim_kernel: any peer and any order keep the truth, and a seed repeats itself") {
    unsigned whole = 0;
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        CAPTURE(seed);
        bool delivered = false;
        const auto log = talk(seed, delivered);
        whole += delivered;
        if (seed % 20 == 0) CHECK(log == talk(seed, delivered));
    }
    CHECK(whole > 50);
    CHECK(whole < 400);
}
