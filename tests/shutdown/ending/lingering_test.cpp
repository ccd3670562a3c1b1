#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// The three classic closes.

TEST_CASE("close(wait): delivered, with bytes and FIN acknowledged, in much less than its time") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto answer = pattern(2 << 20);
        peer_reading seen;
        peer_script reader(at.on, [&] { seen = theirs.read_to_end(); });
        const auto sent = co_await ours.send(answer);
        CHECK(sent.bytes == answer.size());
        const auto report = co_await close(ours, lingering::wait(1h));
        co_await reader.done();
        REQUIRE(report.has_value());
        CHECK(row(*report) == "local application wait delivered acknowledged");
        CHECK(report->microseconds.total < 60s);
        CHECK(seen.bytes == answer.size());
        CHECK(seen.finished);
        at.check_resets(0);
    });
}

TEST_CASE("close(wait): a peer that does not read is reset at the deadline") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(1 << 20);
        sent outcome;
        std::optional<teardown_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            report = co_await close(ours, lingering::wait(200ms));
        });
        REQUIRE(report.has_value());
        CHECK(row(*report) == "local deadline wait degraded unacknowledged");
        at.check_near(report->microseconds.total, 200ms);
        check_claim(*report, theirs.arrived());
        at.check_resets(1);
    });
}

TEST_CASE("close(wait): a peer that reset is no delivery") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.go_deaf();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        peer_script resetting(at.on, [&] {
            std::this_thread::sleep_for(30ms);
            theirs.reset();
        });
        const auto report = co_await close(ours, lingering::wait(3s));
        co_await resetting.done();
        REQUIRE(report.has_value());
        CHECK(row(*report) == "local peer_reset wait reset unacknowledged");
        CHECK(report->unacknowledged_bytes == 6);
    });
}

TEST_CASE("close(wait): a peer that had finished makes it graceful") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write("request");
        theirs.finish();
        const auto report = co_await close(ours, lingering::wait(3s));
        REQUIRE(report.has_value());
        CHECK(report->ending == actual_ending::graceful);
        CHECK(report->discarded_bytes == 7);
        at.check_resets(0);
    });
}

TEST_CASE("close(wait): a peer that goes on sending is waited for no longer than its ACK") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto answer = pattern(100'000);
        const auto sent = co_await ours.send(answer);
        CHECK(sent.bytes == answer.size());
        peer_reading seen;
        peer_script chatting(at.on, [&] {
            while (seen.bytes < answer.size()) {
                theirs.write_what_fits(50'000);
                const auto some = theirs.read_to_end(10'000);
                seen.bytes += some.bytes;
                seen.intact = seen.intact && some.intact;
                if (some.bytes == 0) break;
            }
        });
        const auto report = co_await close(ours, lingering::wait(3s));
        co_await chatting.done();
        REQUIRE(report.has_value());
        // What came in was dropped as it came, so the close could not become a reset of unread
        // data while the answer was on its way.
        CHECK(report->ending == actual_ending::delivered);
        CHECK(report->delivery == delivery_verdict::acknowledged);
        CHECK(!report->reset_sent);
        CHECK(seen.bytes == answer.size());
        CHECK(seen.intact);
        CHECK(report->microseconds.total < 30s);
        at.expect_kernels_resets(at.resets_so_far()); // to what came after the close
    });
}

TEST_CASE("close(wait): bytes that come after the close draw RST, the kernel's own") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto report = co_await close(ours, lingering::wait(3s));
        REQUIRE(report.has_value());
        CHECK(report->ending == actual_ending::delivered);
        at.check_resets(0);
        theirs.write("too late"); // we are in FIN_WAIT2, and the descriptor is gone
        at.check_resets(1);
        at.expect_kernels_resets(1);
        CHECK(theirs.read_to_end().bytes == 0);
    });
}

TEST_CASE("close(wait): SO_LINGER that the application has set changes nothing") {
    for (const auto time : {0s, 5s}) {
        CAPTURE(time.count());
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            const auto set = co_await ours.set_linger(time);
            REQUIRE(set);
            const sent answered = co_await ours.send(bytes_of("answer"));
            CHECK(answered);
            const auto report = co_await close(ours, lingering::wait(3s));
            REQUIRE(report.has_value());
            CHECK(row(*report) == "local application wait delivered acknowledged");
            at.check_resets(0);
            CHECK(theirs.read() == "answer");
            CHECK(theirs.read_to_end().bytes == 0);
        });
    }
}

TEST_CASE("close(wait): knows no idle time and no discard cap") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.go_deaf(); // nothing is acknowledged, so there is something to wait for
        const auto report = co_await close(ours, lingering::wait(300ms));
        REQUIRE(report.has_value());
        CHECK(row(*report) == "local deadline wait degraded unacknowledged");
        at.check_near(report->microseconds.total, 300ms);
    });
}

TEST_CASE("close(wait): a time of 0 aborts at once") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto report = co_await close(ours, lingering::wait(0s));
        REQUIRE(report.has_value());
        CHECK(report->requested == requested_ending::wait);
        CHECK(report->ending != actual_ending::aborted);
        at.check_near(report->microseconds.total, 0ms);
    });
}

TEST_CASE("close(background): returns at once, and the ledger gets an ordinary report") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        const auto nothing = co_await close(ours, lingering::background(2s));
        CHECK(!nothing.has_value());
        CHECK(at.reports().empty()); // nobody has acknowledged FIN yet; exact in punctual_test.cpp
        peer_script reader(at.on, [&] {
            CHECK(theirs.read() == "answer");
            CHECK(theirs.read_to_end().finished);
            theirs.finish();
        });
        co_await reader.done();
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local application background graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("close(background): the stream may be dropped right behind it") {
    run([](rig& at) -> task<void> {
        peer theirs;
        {
            auto made = at.connect();
            theirs = std::move(made.theirs);
            const auto sent = co_await made.ours.send(text("answer"));
            CHECK(sent.bytes == 6);
            co_await close(made.ours, lingering::background(2s));
        }
        peer_script reader(at.on, [&] {
            CHECK(theirs.read() == "answer");
            CHECK(theirs.read_to_end().finished);
            theirs.close();
        });
        co_await reader.done();
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local application background graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("close(background): ends at its deadline by RST") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        co_await close(ours, lingering::background(150ms));
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local deadline background degraded acknowledged");
        at.check_near(at.only_report().microseconds.total, 150ms);
        at.check_resets(1);
    });
}

TEST_CASE("close(abort): is an abort, with its report") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto report = co_await close(ours, lingering::abort());
        REQUIRE(report.has_value());
        CHECK(row(*report) == "local application abort aborted acknowledged");
        at.check_resets(1);
    });
}

TEST_CASE("close: none of the three blocks the loop, though the peer never reads") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.our_send_buffer = 65536, .their_receive_buffer = 65536});
        const auto answer = pattern(1 << 20);
        sent outcome;
        std::uint64_t turned = 0;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            in.spawn([](stream& ended) -> task<void> {
                co_await close(ended, lingering::wait(200ms));
            }(ours));
            // A call that blocked would end with the connection, and nobody's turn would come
            // before.
            while (at.reports().empty()) {
                co_await sleep_for(1ms);
                ++turned;
            }
        });
        CHECK(turned > 2);
        at.check_resets(1);
    });
}

TEST_CASE("close: after graceful_close has begun it joins that ending and its report") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        teardown_report first;
        std::optional<teardown_report> second;
        peer_script reader(at.on, [&] {
            CHECK(theirs.read_to_end().finished);
            std::this_thread::sleep_for(60ms);
            theirs.finish();
        });
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](stream& ended, teardown_report& into) -> task<void> {
                into = co_await graceful_close(ended);
            }(ours, first));
            co_await sleep_for(5ms);
            second = co_await close(ours, lingering::wait(5s));
        });
        co_await reader.done();
        REQUIRE(second.has_value());
        CHECK(second->connection == first.connection);
        CHECK(row(*second) == "local application graceful graceful acknowledged");
        at.check_resets(0);
    });
}
