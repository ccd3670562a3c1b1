#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// The network gives a connection up: the operation that is under way is told by what error.

namespace {

task<void> peer_end_into(stream& of, result<peer_end>& into) { into = co_await peer_closed(of); }

// Every operation that waits is told, and so is the one that comes later, and the report.
task<void> is_lost(stream& ours, std::errc why) {
    std::byte into[16];
    result<std::size_t> got;
    result<peer_end> end;
    co_await with_scope([&](scope& in) -> task<void> {
        in.spawn(receive_into(ours, into, got));
        in.spawn(peer_end_into(ours, end));
        co_return;
    });
    CHECK(got.error() == why);
    CHECK(end.error() == why);
    got = co_await ours.recv(into);
    CHECK(got.error() == why);
    const teardown_report report = co_await graceful_close(ours);
    CHECK(report.initiator == teardown_initiator::kernel);
    CHECK(report.cause == teardown_cause::network_timeout);
    CHECK(report.ending == actual_ending::lost);
    CHECK(report.error == why);
    CHECK(!report.reset_received);
}

} // namespace

TEST_CASE("network lost: where nothing is acknowledged what waits is told timed_out") {
    run([](rig& at) -> task<void> {
        const network_in_haste sooner;
        auto [ours, theirs] = at.connect({.user_timeout_ms = 50});
        theirs.go_deaf();
        const auto sent = co_await ours.send(text("into the void"));
        CHECK(sent.bytes == 13);
        co_await is_lost(ours, std::errc::timed_out);
        CHECK(at.only_report().delivery == delivery_verdict::unacknowledged);
        CHECK(at.only_report().unacknowledged_bytes == 13);
    });
}

TEST_CASE("network lost: where there is no way to the peer what waits is told so, by that name") {
    if (!has_own_network()) {
        MESSAGE("skip: no network of its own to take down: " << std::string(own_network_refused()));
        return;
    }
    run([](rig& at) -> task<void> {
        const network_in_haste sooner;
        auto [ours, theirs] = at.connect({.user_timeout_ms = 50});
        theirs.go_deaf(); // or it would be acknowledged before there is no way any more
        const auto sent = co_await ours.send(text("into the void"));
        CHECK(sent.bytes == 13);
        const network_gone until_the_end;
        co_await is_lost(ours, std::errc::network_unreachable);
        CHECK(at.only_report().unacknowledged_bytes == 13);
    });
}

TEST_CASE("network lost: keepalive that finds nobody tells timed_out, though nothing was sent") {
    run([](rig& at) -> task<void> {
        const network_in_haste sooner;
        if (!sooner.keepalive()) {
            MESSAGE("skip: keepalive cannot be hurried");
            co_return;
        }
        auto [ours, theirs] = at.connect({.user_timeout_ms = 50});
        theirs.go_deaf();
        const int on = 1;
        const auto set = co_await ours.set_option(SOL_SOCKET, SO_KEEPALIVE, on);
        CHECK(set.has_value());
        co_await is_lost(ours, std::errc::timed_out);
        CHECK(at.only_report().delivery == delivery_verdict::acknowledged);
        CHECK(at.only_report().sent_bytes == 0);
        at.check_resets(1); // the kernel's, as it gives up
        at.expect_kernels_resets(1);
    });
}
