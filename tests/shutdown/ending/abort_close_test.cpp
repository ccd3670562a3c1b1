#include "rig.hpp"

#include "support/wire_capture.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// RST now, whatever is in flight; nothing lingers.

namespace {

void check_nothing_lingers(std::uint16_t port) {
    if (!has_own_network()) return;
    const auto left = count_sockets(port);
    CHECK(left.time_wait == 0);
    CHECK(left.open <= 1); // the peer's descriptor, if it is still open
}

} // namespace

TEST_CASE("abort_close: exactly one RST, nothing in TIME_WAIT, the peer is told") {
    for (const bool we_connect : {false, true}) {
        CAPTURE(we_connect);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect({.we_connect = we_connect});
            const auto port = theirs.local().port();
            const teardown_report report = co_await abort_close(ours);
            CHECK(row(report) == "local application abort aborted acknowledged");
            CHECK(report.reset_sent);
            CHECK(!report.reset_received);
            CHECK(report.phase == teardown_phase::open);
            CHECK(!report.microseconds.flush);
            at.check_resets(1);
            check_nothing_lingers(port);
            CHECK(theirs.read_to_end().error == ECONNRESET);
        });
    }
}

TEST_CASE("abort_close: with 64 MiB in flight, what left is counted and what did not is named") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto answer = pattern(64 << 20);
        sent outcome;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            co_await sleep_for(50ms);
            report = co_await abort_close(ours);
        });
        CHECK(row(report) == "local application abort aborted unacknowledged");
        CHECK(report.sent_bytes + report.unsent_bytes == answer.size());
        CHECK(report.unsent_bytes > 0);
        CHECK(outcome.bytes == report.sent_bytes);
        CHECK(outcome.error == std::errc::operation_canceled);
        check_claim(report, theirs.arrived());
        CHECK(report.microseconds.total < 30s); // how long is a matter of the bench
        at.check_resets(1);
        CHECK(theirs.read_to_end().intact);
    });
}

TEST_CASE("abort_close: a receive in flight ends, and the RST does not wait for it") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::byte into[64];
        result<std::size_t> got;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_into(ours, into, got));
            co_await sleep_for(5ms);
            report = co_await abort_close(ours);
        });
        CHECK(got.error() == std::errc::operation_canceled);
        CHECK(report.ending == actual_ending::aborted);
        CHECK(!report.reset_received);
        at.check_resets(1);
    });
}

TEST_CASE("abort_close: a lease in flight ends too, and its buffers come back") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::optional<std::error_code> got;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](stream& by, std::optional<std::error_code>& error) -> task<void> {
                const auto received = co_await by.recv_lease();
                if (!received) error = received.error();
            }(ours, got));
            co_await sleep_for(5ms);
            report = co_await abort_close(ours);
        });
        REQUIRE(got.has_value());
        CHECK(*got == std::errc::operation_canceled);
        CHECK(report.ending == actual_ending::aborted);
        at.check_resets(1);
    });
}

TEST_CASE("abort_close: unread data does not change its one RST") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write_pattern(10'000);
        const teardown_report report = co_await abort_close(ours);
        CHECK(row(report) == "local application abort aborted acknowledged");
        CHECK(report.received_bytes == 0);
        at.check_resets(1);
        CHECK(theirs.read_to_end().error == ECONNRESET);
    });
}

TEST_CASE("abort_close: in every state before both FINs are acknowledged reset_sent is what left") {
    struct {
        const char* name;
        bool we_finish;
        bool they_finish;
        bool deaf;
    } states[] = {
        {"established", false, false, false}, {"close_wait", false, true, false},
        {"fin_wait_1", true, false, true},    {"fin_wait_2", true, false, false},
        {"closing", true, true, true},        {"time_wait", true, true, false},
    };
    for (const auto& state : states) {
        CAPTURE(std::string(state.name));
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            if (state.deaf) theirs.go_deaf();
            if (state.we_finish) {
                const auto finished = co_await ours.shutdown_send();
                CHECK(finished.has_value());
            }
            if (state.they_finish) theirs.finish();
            co_await sleep_for(60ms); // longer than an acknowledgement is delayed
            const teardown_report report = co_await abort_close(ours);
            at.check_resets(report.reset_sent ? 1 : 0);
            CHECK(report.initiator == teardown_initiator::local);
        });
    }
}

TEST_CASE("abort_close: last_ack, ours unacknowledged behind the peer's FIN") {
    for (const bool with_data : {false, true}) {
        CAPTURE(with_data);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            theirs.finish();
            std::byte into[8];
            const auto end = co_await ours.recv(into);
            CHECK(end.error() == errc::end_of_stream);
            theirs.go_deaf();
            if (with_data) {
                const auto sent = co_await ours.send(text("lost"));
                CHECK(sent.bytes == 4);
            }
            const auto finished = co_await ours.shutdown_send();
            CHECK(finished.has_value());
            const teardown_report report = co_await abort_close(ours);
            at.check_resets(report.reset_sent ? 1 : 0);
            CHECK(report.delivery == delivery_verdict::unacknowledged);
            CHECK(report.unacknowledged_bytes == (with_data ? 4U : 0U));
            CHECK(report.ending != actual_ending::graceful);
        });
    }
}

TEST_CASE("abort_close: cuts a graceful ending short, and both calls get the one report") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        teardown_report first, second;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](stream& ended, teardown_report& into) -> task<void> {
                into = co_await graceful_close(ended);
            }(ours, first));
            co_await sleep_for(60ms);
            second = co_await abort_close(ours);
        });
        CHECK(first.connection == second.connection);
        CHECK(row(first) == "local application graceful degraded acknowledged");
        CHECK(row(second) == row(first));
        CHECK(first.reset_sent);
        CHECK(first.microseconds.total < 4s); // and not the idle time of 5 s
        at.check_resets(1);
    });
}

TEST_CASE("abort_close: many at once leave one RST each and nothing in TIME_WAIT") {
    run([](rig& at) -> task<void> {
        constexpr std::size_t count = 200;
        std::vector<conversation> all;
        for (std::size_t i = 0; i < count; ++i)
            all.push_back(at.connect());
        const auto waiting_before = count_sockets().time_wait;
        co_await with_scope([&](scope& in) -> task<void> {
            for (auto& each : all)
                in.spawn([](stream& ended) -> task<void> {
                    const auto& report = co_await abort_close(ended);
                    CHECK(report.reset_sent);
                }(each.ours));
            co_return;
        });
        at.check_resets(count);
        if (has_own_network()) CHECK(count_sockets().time_wait == waiting_before);
    });
}

TEST_CASE("abort_close: on the wire, RST and neither FIN nor data behind it") {
    wire_capture capture;
    if (!capture.works() || !has_own_network()) {
        MESSAGE("skip: no packet socket in a network of its own");
        return;
    }
    run([&](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.we_connect = true});
        const auto port = theirs.local().port();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        co_await abort_close(ours);
        std::string ours_on_the_wire;
        for (const auto& each : capture.take())
            if (each.to == port && (each.payload || each.fin || each.rst))
                ours_on_the_wire += each.rst ? "rst " : each.fin ? "fin " : "data ";
        CHECK(ours_on_the_wire == "data rst ");
    });
}
