#include "support/fixture.hpp"

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Deadlines are kept, however many are due at once. How late a crowd is, is a figure of the bench
// (`late`).

namespace {

constexpr std::size_t stuck = 1'000;

task<void> end_one(stream& ended, const ending_policy& policy) {
    co_await graceful_close(ended, policy);
}

} // namespace

TEST_CASE("deadline: 1,000 connections whose peers never read end at it, many in a turn") {
    allow_descriptors();
    std::vector<conversation> all;
    const auto answer = pattern(128 << 10);
    std::vector<sent> outcomes(stuck);
    run([&](rig& at) -> task<void> {
        for (std::size_t i = 0; i < stuck; ++i)
            all.push_back(at.connect({.our_send_buffer = 8192, .their_receive_buffer = 4096}));
        const auto due = at.on.now() + 1s;
        const ending_policy policy{.within = 1h, .deadline = due};
        std::uint64_t enters = 0;
        co_await with_scope([&](scope& in) -> task<void> {
            for (std::size_t i = 0; i < stuck; ++i)
                in.spawn(send_into(all[i].ours, answer, outcomes[i]));
            co_await sleep_for(50ms);
            for (auto& each : all)
                in.spawn(end_one(each.ours, policy));
            co_await sleep_until(due - 1ms);
            if (at.on.now() < due) CHECK(at.reports().empty()); // a busy machine may wake us later
            enters = at.on.statistics().enters;
        });
        enters = at.on.statistics().enters - enters;
        MESSAGE("enters from the deadline to the last report: " << enters);
        CHECK(enters < stuck / 2);
        CHECK(at.on.now() >= due);
        for (const auto& each : at.reports()) {
            CHECK(row(each) == "local deadline graceful degraded unacknowledged");
            CHECK(each.sent_bytes + each.unsent_bytes == answer.size());
        }
        at.check_resets(stuck);
        for (std::size_t i = 0; i < stuck; ++i) {
            const auto& report = co_await ended(all[i].ours);
            check_claim(report, all[i].theirs.arrived());
            CHECK(outcomes[i].bytes == report.sent_bytes);
        }
        all.clear();
    });
}

TEST_CASE("deadline: 1,000 idle connections whose peers never finish, each with its own deadline") {
    allow_descriptors();
    std::vector<conversation> all;
    run([&](rig& at) -> task<void> {
        for (std::size_t i = 0; i < stuck; ++i)
            all.push_back(at.connect());
        co_await with_scope([&](scope& in) -> task<void> {
            for (std::size_t i = 0; i < stuck; ++i)
                in.spawn(end_one(all[i].ours, {.within = 200ms + (i % 100) * 1ms}));
            co_return;
        });
        for (std::size_t i = 0; i < stuck; ++i) {
            const auto& report = co_await ended(all[i].ours);
            const auto late = report.microseconds.total - (200ms + (i % 100) * 1ms);
            CHECK(late >= 0s);
            CHECK(late < 30s);
            CHECK(row(report) == "local deadline graceful degraded acknowledged");
        }
        at.check_resets(stuck);
        all.clear();
    });
}

TEST_CASE("deadline: a crowd that is looked at for acknowledgements wakes the loop as one would") {
    const auto enters_with = [](std::size_t many) {
        std::uint64_t enters = 0;
        run([&](rig& at) -> task<void> {
            std::vector<conversation> all;
            const auto answer = pattern(64 << 10);
            std::vector<sent> outcomes(many);
            for (std::size_t i = 0; i < many; ++i)
                all.push_back(at.connect({.our_send_buffer = 8192, .their_receive_buffer = 4096}));
            co_await with_scope([&](scope& in) -> task<void> {
                for (std::size_t i = 0; i < many; ++i) {
                    in.spawn(send_into(all[i].ours, answer, outcomes[i]));
                    in.spawn(end_one(all[i].ours, {.within = 10s, .idle = 400ms}));
                    co_await sleep_for(100us); // none in step with another
                }
                const auto before = at.on.statistics().enters;
                co_await sleep_for(300ms);
                enters = at.on.statistics().enters - before;
                for (auto& each : all)
                    co_await abort_close(each.ours);
            });
            all.clear();
        });
        return enters;
    };
    const std::uint64_t one = enters_with(1);
    const std::uint64_t crowd = enters_with(200);
    MESSAGE("enters in 300 ms: one connection " << one << ", two hundred " << crowd);
    CHECK(crowd < 200); // each looks seven times; sixteen are served in a turn
}

TEST_CASE("deadline: kept while another connection keeps the loop busy") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        auto busy = at.connect();
        const auto data = pattern(1 << 20);
        peer_script reader(at.on, [&] { busy.theirs.read_to_end(); });
        teardown_report report;
        bool over = false;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](stream& by, std::span<const std::byte> bytes, bool& ends) -> task<void> {
                while (!ends) {
                    const auto sent = co_await by.send(bytes);
                    if (!sent) break;
                }
            }(busy.ours, data, over));
            report = co_await graceful_close(ours, {.within = 200ms});
            over = true;
        });
        CHECK(row(report) == "local deadline graceful degraded acknowledged");
        at.check_near(report.microseconds.total, 200ms);
        co_await close(busy.ours, lingering::wait(5s));
        co_await reader.done();
    });
}

TEST_CASE("deadline: it covers the flush, the acknowledgement and the peer's FIN together") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(1 << 20);
        sent outcome;
        teardown_report report;
        peer_script reader(at.on, [&] {
            std::this_thread::sleep_for(150ms);
            theirs.read_to_end(); // and never finishes
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            report = co_await graceful_close(ours, {.within = 300ms});
        });
        co_await reader.done();
        CHECK(row(report) == "local deadline graceful degraded acknowledged");
        CHECK(report.sent_bytes == answer.size());
        CHECK(report.microseconds.flush >= 140ms);
        at.check_near(report.microseconds.total, 300ms);
        at.check_resets(1);
    });
}
