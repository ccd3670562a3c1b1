#include "rig.hpp"
#include "upload.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Connections that received into the loop's buffers, and loops that have none left.

namespace {

loop_options few_buffers() {
    loop_options options;
    options.buffers = 4;
    options.buffer_bytes = 1024;
    return options;
}

// The same without buffer rings, so that a test can take buffers away.
loop_options few_picked() {
    loop_options options = few_buffers();
    options.ring.disabled.add(capability::buffer_ring);
    return options;
}

// Takes every buffer of the loop.
std::vector<std::uint16_t> hold_all(buffer_pool& pool) {
    std::vector<std::uint16_t> held;
    std::uint16_t id = 0;
    while (pool.pick(id))
        held.push_back(id);
    return held;
}

void give_back(buffer_pool& pool, const std::vector<std::uint16_t>& held) {
    for (const auto each : held)
        pool.give_back(each);
}

} // namespace

TEST_CASE("buffers exhausted by others: the peer's FIN is still seen by an ending") {
    run(
        [](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            auto& pool = at.on.service<buffer_pool>();
            const auto held = hold_all(pool);
            CHECK(pool.available() == 0);

            std::optional<result<lease>> got;
            teardown_report report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn([](stream& by, std::optional<result<lease>>& into) -> task<void> {
                    into.emplace(co_await by.recv_lease());
                }(ours, got));
                theirs.write("waits for a buffer");
                theirs.finish();
                co_await sleep_for(10ms);
                CHECK(!got.has_value());
                report = co_await graceful_close(ours, {.within = 2s});
            });
            CHECK(report.ending == actual_ending::graceful);
            CHECK(report.discarded_bytes == 18);
            REQUIRE(got.has_value());
            CHECK(got->error() == std::errc::operation_canceled);
            give_back(pool, held);
            at.check_resets(0);
        },
        few_picked());
}

TEST_CASE("buffers exhausted and then returned: a waiting receive gets its data and the end") {
    run(
        [](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            auto& pool = at.on.service<buffer_pool>();
            const auto held = hold_all(pool);
            theirs.write("patience");
            theirs.finish();
            std::uint64_t received = 0;
            std::error_code end;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn([](stream& by, std::uint64_t& bytes, std::error_code& why) -> task<void> {
                    for (;;) {
                        const auto got = co_await by.recv_lease();
                        if (!got) {
                            why = got.error();
                            break;
                        }
                        bytes += got->size();
                    }
                }(ours, received, end));
                co_await sleep_for(10ms);
                CHECK(received == 0);
                give_back(pool, held);
            });
            CHECK(received == 8);
            CHECK(end == errc::end_of_stream);
            const teardown_report report = co_await graceful_close(ours);
            CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
            at.check_resets(0);
        },
        few_picked());
}

TEST_CASE("buffers full of unread data: the ending gives them back and counts them as discarded") {
    run(
        [](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            theirs.write_pattern(50'000);
            std::uint64_t received = 0;
            {
                const auto first = co_await ours.recv_lease();
                REQUIRE(first.has_value());
                received = first->size();
            }
            co_await sleep_for(10ms);
            theirs.finish();
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.ending == actual_ending::graceful);
            CHECK(report.received_bytes == received);
            CHECK(report.received_bytes + report.discarded_bytes == 50'000);
            auto& pool = at.on.service<buffer_pool>();
            CHECK(pool.available() == pool.count());
            at.check_resets(0);
        },
        few_buffers());
}

TEST_CASE("a lease held through the ending of its connection stays readable") {
    run(
        [](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            theirs.write_pattern(1'000);
            auto held = co_await ours.recv_lease();
            REQUIRE(held.has_value());
            theirs.write_pattern(50'000);
            theirs.finish();
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.ending == actual_ending::graceful);
            CHECK(is_pattern(held->data(), 0));
            CHECK(report.received_bytes == held->size());
            CHECK(report.received_bytes + report.discarded_bytes == 51'000);
        },
        few_buffers());
}

TEST_CASE("an upload without end into the loop's buffers ends at the discard cap too") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::uint64_t written = 0;
        peer_script writer(at.on, [&] { written = upload_without_end(theirs); });
        {
            const auto first = co_await ours.recv_lease();
            REQUIRE(first.has_value());
        }
        const teardown_report report =
            co_await graceful_close(ours, {.discard_bytes_max = 500'000});
        co_await writer.done();
        CHECK(report.cause == teardown_cause::discard_limit);
        CHECK(report.ending == actual_ending::degraded);
        CHECK(report.discarded_bytes > 500'000);
        check_uploaded(at, report, theirs, written);
    });
}

TEST_CASE("receives that are cancelled again and again lose no byte to the cancel") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        constexpr std::uint64_t size = 300'000;
        result<std::size_t> nothing;
        std::byte one;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_into(ours, {&one, 1}, nothing));
            in.cancel();
            co_await noop();
        });
        CHECK(nothing.error() == std::errc::operation_canceled);
        peer_script writer(at.on, [&] {
            for (int i = 0; i < 300; ++i) {
                theirs.write_pattern(1'000);
                if (i % 8 == 0) std::this_thread::sleep_for(1ms);
            }
            theirs.finish();
        });
        std::vector<std::byte> into(size + 1);
        std::uint64_t received = 0;
        for (;;) {
            result<std::size_t> got;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(receive_into(ours, std::span(into).subspan(received, 1), got));
                in.cancel(); // races with what is there already
                co_return;
            });
            if (got) {
                received += *got;
                continue;
            }
            if (got.error() == std::errc::operation_canceled) {
                const auto some = co_await ours.recv(std::span(into).subspan(received));
                if (!some) break;
                received += *some;
            } else {
                break;
            }
        }
        co_await writer.done();
        CHECK(received == size);
        CHECK(is_pattern(std::span(into).first(received), 0));
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.received_bytes == size);
        CHECK(report.ending == actual_ending::graceful);
    });
}
