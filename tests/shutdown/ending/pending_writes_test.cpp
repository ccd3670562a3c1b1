#include "rig.hpp"

#include "support/sock_diag.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Any number of writes handed over and not yet done, when the connection is shut down or closed.

namespace {

constexpr std::size_t writes = 5'000;
constexpr std::size_t bytes_each = 1'013; // no divisor of anything

struct outcomes {
    std::size_t whole = 0;
    std::size_t canceled = 0;
    std::size_t other = 0;
    [[nodiscard]] std::size_t all() const { return whole + canceled + other; }
};

task<void> write_one(stream& by, std::span<const std::byte> data, outcomes& told) {
    const auto sent = co_await by.send(data);
    if (!sent.error)
        ++told.whole;
    else if (sent.error == std::errc::operation_canceled)
        ++told.canceled;
    else
        ++told.other;
}

void write_many(scope& in, stream& by, std::span<const std::byte> all, outcomes& told) {
    for (std::size_t at = 0; at < all.size(); at += bytes_each)
        in.spawn(write_one(by, all.subspan(at, bytes_each), told));
}

std::uint16_t port_of(const stream& of) {
    address name;
    socklen_t bytes = address::capacity;
    ::getsockname(of.native_handle(), name.data(), &bytes);
    name.resize(bytes);
    return name.port();
}

} // namespace

TEST_CASE("pending writes: shutdown_send behind thousands, order kept, FIN exactly behind them") {
    for (const bool space : {true, false}) {
        CAPTURE(space);
        wire_capture capture(wire_capture::what::ends);
        run([&](rig& at) -> task<void> {
            pair_options options;
            options.we_connect = true;
            if (!space) options.our_send_buffer = options.their_receive_buffer = 16'384;
            auto [ours, theirs] = at.connect(options);
            const auto all = pattern(writes * bytes_each);
            outcomes told;
            peer_reading seen;
            bool finished = false;
            co_await with_scope([&](scope& in) -> task<void> {
                write_many(in, ours, all, told);
                in.spawn([](stream& by, bool& done) -> task<void> {
                    const auto ended = co_await by.shutdown_send();
                    done = ended.has_value();
                }(ours, finished));
                co_await sleep_for(10ms);
                if (!space) CHECK(told.all() < writes); // most of them still wait for space
                if (!space) CHECK(!finished);
                peer_script reader(at.on, [&] { seen = theirs.read_to_end(); });
                co_await reader.done();
            });
            CHECK(told.whole == writes);
            CHECK(told.all() == writes);
            CHECK(finished);
            CHECK(seen.bytes == all.size());
            CHECK(seen.intact); // so in order, and once each
            CHECK(seen.finished);
            const auto late = co_await ours.send(text("late"));
            CHECK(late.error == std::errc::broken_pipe);
            if (capture.works() && has_own_network()) {
                const auto ends = capture.take();
                REQUIRE(ends.size() == 1); // one FIN, and no RST
                CHECK(ends.front().fin);
            }
            theirs.finish();
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.ending == actual_ending::graceful);
            CHECK(report.sent_bytes == all.size());
            at.check_resets(0);
        });
    }
}

TEST_CASE("pending writes: graceful_close behind thousands loses none") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] =
            at.connect({.our_send_buffer = 16'384, .their_receive_buffer = 16'384});
        const auto all = pattern(writes * bytes_each);
        outcomes told;
        peer_reading seen;
        peer_script reader(at.on, [&] {
            seen = theirs.read_to_end();
            theirs.finish();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            write_many(in, ours, all, told);
            co_await sleep_for(1ms);
            const teardown_report report = co_await graceful_close(ours);
            CHECK(row(report) == "local application graceful graceful acknowledged");
            CHECK(report.unsent_bytes == 0);
        });
        co_await reader.done();
        CHECK(told.whole == writes);
        CHECK(seen.bytes == all.size());
        CHECK(seen.intact);
        CHECK(seen.finished);
        at.check_resets(0);
    });
}

TEST_CASE("pending writes: an abort tells each once, counts what was lost, leaves no TIME_WAIT") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] =
            at.connect({.our_send_buffer = 16'384, .their_receive_buffer = 16'384});
        const auto port = theirs.local().port();
        const auto our_port = port_of(ours);
        const auto all = pattern(writes * bytes_each);
        outcomes told;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            write_many(in, ours, all, told);
            co_await sleep_for(10ms);
            report = co_await abort_close(ours);
        });
        CHECK(told.all() == writes);
        CHECK(told.other == 0);
        CHECK(told.canceled > writes / 2);
        CHECK(report.sent_bytes + report.unsent_bytes == all.size());
        CHECK(report.sent_bytes < all.size());
        CHECK(report.delivery == delivery_verdict::unacknowledged);
        check_claim(report, theirs.arrived());
        at.check_resets(1);
        if (has_own_network()) CHECK(time_waits(port, our_port) == 0);
        theirs.close();
        if (has_own_network()) CHECK(kernel_sockets(port, our_port).empty());
    });
}

TEST_CASE("TIME_WAIT: where we finish first a graceful close has one, an abort of ours none") {
    if (!has_own_network()) {
        MESSAGE("skip: no network of its own");
        return;
    }
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto port = theirs.local().port();
        const auto our_port = port_of(ours);
        peer_script following(at.on, [&] {
            CHECK(theirs.read_to_end().finished);
            theirs.close();
        });
        co_await graceful_close(ours);
        co_await following.done();
        CHECK(time_waits(port, our_port) == 1); // so the check below can fail
        auto [aborted, other] = at.connect();
        const auto second = other.local().port();
        const auto our_second = port_of(aborted);
        co_await abort_close(aborted);
        CHECK(time_waits(second, our_second) == 0);
        at.check_resets(1);
    });
}

TEST_CASE(
    "close: everything that is in flight gets its cancellation, each once, and no more after") {
    for (const bool abort : {false, true}) {
        CAPTURE(abort);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] =
                at.connect({.our_send_buffer = 16'384, .their_receive_buffer = 16'384});
            const auto all = pattern(1 << 20);
            std::byte into[8];
            int received = 0, closed = 0, ended = 0, sent_all = 0;
            sent outcome;
            std::error_code why;
            teardown_report report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn([](stream& by, std::span<std::byte> room, std::error_code& error,
                            int& times) -> task<void> {
                    const auto got = co_await by.recv(room);
                    if (!got) error = got.error();
                    ++times;
                }(ours, into, why, received));
                in.spawn([](stream& of, int& times) -> task<void> {
                    const auto end = co_await peer_closed(of);
                    CHECK(end.error() == std::errc::operation_canceled);
                    ++times;
                }(ours, closed));
                in.spawn([](stream& of, int& times) -> task<void> {
                    const auto end = co_await peer_ended(of);
                    CHECK(end.error() == std::errc::operation_canceled);
                    ++times;
                }(ours, ended));
                in.spawn([](stream& by, std::span<const std::byte> data, sent& told,
                            int& times) -> task<void> {
                    told = co_await by.send(data);
                    ++times;
                }(ours, all, outcome, sent_all));
                co_await sleep_for(5ms);
                if (abort)
                    report = co_await abort_close(ours);
                else
                    report = co_await graceful_close(ours, {.within = 50ms});
            });
            CHECK(received == 1);
            CHECK(closed == 1);
            CHECK(ended == 1);
            CHECK(sent_all == 1);
            CHECK(why == std::errc::operation_canceled);
            CHECK(outcome.error == std::errc::operation_canceled);
            CHECK(outcome.bytes == report.sent_bytes);
            theirs.close(); // an end that nobody is told of any more
            co_await sleep_for(5ms);
            CHECK(received + closed + ended + sent_all == 4);
        });
    }
}
