#include <limits>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "rig.hpp"
#include "session_rig.hpp"

#include <ringdown/shutdown/session/internal/session_access.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// Every byte that came from the peer is received or discarded, and counted once; a limit of the
// largest number is none.

namespace {

constexpr auto unlimited = std::numeric_limits<std::uint64_t>::max();

task<void> arrives(rig& at, const stream& ours, int bytes) {
    const bool came = co_await eventually(at, [&] {
        int unread = 0;
        at.on.calls().ioctl(ours.native_handle(), SIOCINQ, unread);
        return unread >= bytes;
    });
    CHECK(came);
}

} // namespace

TEST_CASE("unread: the peer's FIN behind more than the cap: all of it is counted, nothing reset") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const ending_policy policy{.within = 5s, .discard_bytes_max = 500};
        begin_ending(ours, {plans::graceful, teardown_cause::application, policy});
        co_await our_fin_arrives(at, theirs);
        const int cork = 1;
        setsockopt(theirs.descriptor(), IPPROTO_TCP, TCP_CORK, &cork, sizeof cork);
        theirs.write_pattern(10'000);
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.cause == teardown_cause::discard_limit);
        CHECK(report.discarded_bytes == 10'000);
        CHECK(report.reset_sent == (report.ending == actual_ending::degraded));
        at.check_resets(report.reset_sent);
    });
}

TEST_CASE("unread: what abort_close finds behind both FINs is counted") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        CHECK(co_await ours.shutdown_send());
        co_await our_fin_arrives(at, theirs);
        theirs.write_pattern(60'000);
        theirs.finish();
        const bool over = co_await eventually(at, [&] { return tcp_state_of(ours) == TCP_CLOSE; });
        CHECK(over);
        const teardown_report report = co_await abort_close(ours);
        CHECK(report.discarded_bytes == 60'000);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.peer_finished);
        CHECK_FALSE(report.reset_sent);
        at.check_resets(0);
    });
}

TEST_CASE("unread: what an abort throws away is counted, beside what was received") {
    for (const bool over_unix : {false, true}) {
        CAPTURE(over_unix);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = over_unix ? at.connect_unix() : at.connect();
            theirs.write_pattern(10'000);
            co_await arrives(at, ours, 10'000);
            std::array<std::byte, 1000> into;
            CHECK(co_await ours.recv(into) == result<std::size_t>(1000));
            const teardown_report report = co_await abort_close(ours);
            CHECK(report.received_bytes == 1000);
            CHECK(report.discarded_bytes == 9000);
            CHECK(report.ending == actual_ending::aborted);
        });
    }
}

TEST_CASE("unread: what a peer's reset leaves behind is counted") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write_pattern(10'000);
        co_await arrives(at, ours, 10'000);
        theirs.reset();
        const bool over = co_await eventually(at, [&] { return tcp_state_of(ours) == TCP_CLOSE; });
        CHECK(over);
        const teardown_report report = co_await abort_close(ours);
        CHECK(report.reset_received);
        CHECK(report.received_bytes + report.discarded_bytes == 10'000);
    });
}

TEST_CASE("unread: the descriptor that abort_disconnect leaves holds nothing of the connection") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        CHECK(co_await ours.shutdown_send());
        co_await our_fin_arrives(at, theirs);
        theirs.write_pattern(5'000);
        theirs.finish();
        const bool over = co_await eventually(at, [&] { return tcp_state_of(ours) == TCP_CLOSE; });
        CHECK(over);
        auto left = co_await abort_disconnect(ours);
        CHECK(left.report.discarded_bytes == 5'000);
        REQUIRE(left.descriptor);
        char byte;
        CHECK(::recv(left.descriptor.get(), &byte, 1, MSG_DONTWAIT) <= 0);
    });
}

TEST_CASE("unlimited: the largest discard limit waits for the peer's FIN, however it is set") {
    for (const int how : {0, 1, 2, 3}) {
        CAPTURE(how);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            CHECK(co_await ours.send(text("the answer")));
            peer_script uploading(at.on, [&] {
                std::this_thread::sleep_for(50ms);
                CHECK(theirs.write_pattern(1 << 20) == 1 << 20);
                std::this_thread::sleep_for(50ms);
                theirs.finish();
                CHECK(theirs.read() == "the answer");
                CHECK(theirs.read().empty());
            });
            const ending_policy policy{.within = 8s, .discard_bytes_max = unlimited};
            if (how == 0) co_await graceful_close(ours, policy);
            if (how == 1) {
                CHECK(co_await ours.shutdown_receive(unlimited));
                co_await sleep_for(10ms);
                co_await graceful_close(ours, policy);
            }
            if (how == 2) {
                session with(std::move(ours), session_role::server);
                with.begin_shutdown({.limits = policy});
                co_await with.join();
            }
            if (how == 3)
                co_await close(ours, lingering::background(std::chrono::nanoseconds::max()));
            co_await at.all_reported();
            co_await uploading.done();
            CHECK(at.only_report().ending == actual_ending::graceful);
            CHECK(at.only_report().peer_finished);
            CHECK(at.only_report().discarded_bytes == 1 << 20);
            at.check_resets(0);
        });
    }
}

TEST_CASE("unlimited: the longest times are no times at all") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        peer_script slow(at.on, [&] {
            std::this_thread::sleep_for(300ms);
            theirs.finish();
        });
        constexpr auto longest = std::chrono::nanoseconds::max();
        const teardown_report report = co_await graceful_close(
            ours, {.within = longest, .deadline = loop::time_point::max(), .idle = longest});
        co_await slow.done();
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.microseconds.total >= 200ms);
    });
}

TEST_CASE("set_linger: a time that the option cannot hold is the longest that it can") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        CHECK(co_await ours.set_linger(std::chrono::seconds::max()));
        const auto set = co_await ours.get_option<linger>(SOL_SOCKET, SO_LINGER);
        REQUIRE(set.has_value());
        CHECK(set->l_onoff == 1);
        CHECK(set->l_linger > 1'000'000);
        co_await abort_close(ours);
    });
}

TEST_CASE("graceful_close: a lease that is awaited ends when the ending begins, not with it") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        bool receive_ended = false;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](stream& by, bool& ended) -> task<void> {
                const auto got = co_await by.recv_lease();
                CHECK_FALSE(got.has_value());
                ended = true;
            }(ours, receive_ended));
            co_await sleep_for(10ms);
            begin_ending(ours, {});
            const bool ended = co_await eventually(at, [&] { return receive_ended; });
            CHECK(ended);
            CHECK(at.reports().empty());
            theirs.finish();
        });
        co_await at.all_reported();
        CHECK(at.only_report().ending == actual_ending::graceful);
    });
}

TEST_CASE("session: what a client sends while answers are owed costs it nothing afterwards") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = converse(at, session_role::server);
        auto owed = ours.begin_request();
        REQUIRE(owed.has_value());
        session_policy policy = within(8s);
        policy.limits.discard_bytes_max = 500;
        ours.begin_shutdown(policy);
        theirs.write_pattern(10'000);
        const bool dropped =
            co_await eventually(at, [&] { return state_of(ours).bytes().discarded == 10'000; });
        CHECK(dropped);
        const sent answered = co_await owed->send(text("answer"));
        CHECK(answered.bytes == 6);
        owed->finish();
        theirs.write_pattern(400); // within the limit
        theirs.finish();
        const session_report done = co_await report_of(ours);
        CHECK(done.connection.cause == teardown_cause::application);
        CHECK(done.connection.ending == actual_ending::graceful);
        CHECK(done.connection.discarded_bytes == 10'400);
    });
}

TEST_CASE("abort_close: a reset whose error the application has taken is no graceful end") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.reset();
        const bool over = co_await eventually(at, [&] { return tcp_state_of(ours) == TCP_CLOSE; });
        CHECK(over);
        int error = 0;
        socklen_t bytes = sizeof error;
        ::getsockopt(ours.native_handle(), SOL_SOCKET, SO_ERROR, &error, &bytes);
        CHECK(error == ECONNRESET);
        const teardown_report report = co_await abort_close(ours);
        CHECK(report.ending == actual_ending::reset);
        CHECK_FALSE(report.peer_finished);
    });
}
