#include "rig.hpp"

#include <array>

using namespace ringdown;
using namespace ringdown::testing;

// A connection that is being ended takes no new operation.

TEST_CASE("sealed: what is begun on a connection that is being ended answers errc::ending") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        begin_ending(ours, {});
        std::array<std::byte, 8> into;
        const auto received = co_await ours.recv(into);
        CHECK(received.error() == errc::ending);
        const auto leased = co_await ours.recv_lease();
        CHECK(leased.error() == errc::ending);
        const auto sent = co_await ours.send(into);
        CHECK(sent.error == errc::ending);
        const auto last = co_await ours.send_last(into);
        CHECK(last.error == errc::ending);
        const auto nothing = co_await ours.send({});
        CHECK(nothing.error == errc::ending);
        const auto finished = co_await ours.shutdown_send();
        CHECK(finished.error() == errc::ending);
        theirs.finish();
        co_await at.all_reported();
    });
}

TEST_CASE("sealed: options of a connection that is being ended answer errc::ending") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        begin_ending(ours, {});
        const auto set = co_await ours.set_option(SOL_SOCKET, SO_KEEPALIVE, 1);
        CHECK(set.error() == errc::ending);
        const auto got = co_await ours.get_option<int>(SOL_SOCKET, SO_TYPE);
        CHECK(got.error() == errc::ending);
        theirs.finish();
        co_await at.all_reported();
    });
}
