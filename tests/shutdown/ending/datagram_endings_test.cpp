#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// UDP has no ends of its own: there is one close, and its report says so.

namespace {

const char* const closed_row = "local application none closed unknown";

task<void> receive_from(datagram_socket& by, std::span<std::byte> into, result<datagram>& outcome) {
    outcome = co_await by.recv_from(into);
}

} // namespace

TEST_CASE("datagrams: close reports what was sent and received, and claims no delivery") {
    run([](rig& at) -> task<void> {
        udp_peer theirs;
        auto ours = at.open_datagrams(theirs.local());
        CHECK(co_await ours.send(text("arrives")));
        CHECK(co_await ours.send({}));
        theirs.send_to("0123456789", ours.local());
        std::byte into[4];
        const auto got = co_await ours.recv(into);
        CHECK(got->cut());
        const std::uint64_t number = ours.number();
        const teardown_report report = co_await close(ours);
        CHECK(row(report) == closed_row);
        CHECK(report.connection == number);
        CHECK(report.peer == theirs.local());
        CHECK(report.sent_bytes == 7);
        CHECK(report.unsent_bytes == 0);
        CHECK(!report.unacknowledged_bytes.has_value());
        CHECK(report.received_bytes == 4);
        CHECK(report.discarded_bytes == 6);
        CHECK(theirs.receive() == "arrives");
        CHECK((co_await ours.send({})).error == errc::ending);
        CHECK((co_await ours.send_to({}, theirs.local())).error == errc::ending);
        CHECK((co_await ours.recv(into)).error() == errc::ending);
        CHECK((co_await ours.recv_from(into)).error() == errc::ending);
    });
}

TEST_CASE("datagrams: the report of a socket that has no peer names anyone") {
    run([](rig& at) -> task<void> {
        auto ours = at.open_datagrams();
        CHECK((co_await close(ours)).peer.text() == "0.0.0.0:0");
        auto six = open_datagrams(at.on, {.local = *address::parse("[::1]:0")});
        at.expect_report_of(*six);
        CHECK((co_await close(*six)).peer.text() == "[::]:0");
    });
}

TEST_CASE("datagrams: close cancels the receive in flight, joins it, and frees the port") {
    run([](rig& at) -> task<void> {
        auto ours = at.open_datagrams();
        const address was = ours.local();
        std::byte into[8];
        result<datagram> got;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_from(ours, into, got));
            co_await noop();
            const teardown_report report = co_await close(ours);
            CHECK(row(report) == closed_row);
            // An operation left behind would still hold it.
            const udp_peer next(false, was.port());
        });
        REQUIRE(!got.has_value());
        CHECK(got.error() == std::errc::operation_canceled);
    });
}

TEST_CASE("datagrams: one that races with the close goes to its receive, or nowhere") {
    run([](rig& at) -> task<void> {
        int received = 0;
        for (int round = 0; round < 20; ++round) {
            auto ours = at.open_datagrams();
            udp_peer theirs;
            std::byte into[8];
            result<packet> got;
            teardown_report report;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(receive_into(ours, into, got));
                // It waits before the receive is armed, or arrives after.
                if (round % 2 == 0) theirs.send_to("raced", ours.local());
                co_await noop();
                if (round % 2 != 0) theirs.send_to("raced", ours.local());
                report = co_await close(ours);
            });
            CHECK(row(report) == closed_row);
            CHECK(report.received_bytes == (got.has_value() ? 5 : 0));
            if (got.has_value())
                CHECK(++received > 0);
            else
                CHECK(got.error() == std::errc::operation_canceled);
        }
        CHECK(received >= 10); // what was there first is never lost
    });
}

TEST_CASE("datagrams: an empty one that races with the close is no cancelled receive") {
    run([](rig& at) -> task<void> {
        auto ours = at.open_datagrams();
        udp_peer theirs;
        theirs.send_to("", ours.local());
        std::byte into[8];
        result<datagram> got;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_from(ours, into, got));
            in.spawn([](datagram_socket& by) -> task<void> { co_await close(by); }(ours));
            co_return;
        });
        REQUIRE(got.has_value());
        CHECK(got->bytes == 0);
        CHECK(got->sender == theirs.local());
    });
}

TEST_CASE("datagrams: close leaves another descriptor of the same socket as it was") {
    run([](rig& at) -> task<void> {
        udp_peer theirs;
        auto ours = at.open_datagrams(theirs.local());
        const plain_socket shared(::dup(ours.native_handle()));
        CHECK(row(co_await close(ours)) == closed_row);
        theirs.send_to("still here", shared.local());
        char into[16];
        CHECK(::recv(shared.descriptor(), into, sizeof into, MSG_DONTWAIT) == 10);
        pollfd said{.fd = shared.descriptor(), .events = POLLIN | POLLRDHUP, .revents = 0};
        CHECK(::poll(&said, 1, 0) == 0); // nor was it shut down
    });
}

TEST_CASE("datagrams: errors of datagrams are not the socket's end") {
    run([](rig& at) -> task<void> {
        const address deserted = udp_peer().local();
        auto ours = at.open_datagrams(deserted);
        CHECK(co_await ours.send(text("anyone?")));
        std::byte into[8];
        const auto refused = co_await ours.recv(into);
        CHECK(refused.error() == std::errc::connection_refused);
        CHECK(co_await ours.send(text("untold"))); // its refusal waits at the close
        const teardown_report report = co_await close(ours);
        CHECK(row(report) == closed_row);
        CHECK(report.sent_bytes == 13);
    });
}

TEST_CASE("datagrams: an unreachable network loses one datagram, not the socket") {
    if (!has_own_network()) {
        MESSAGE("skip: no network of its own, so nothing is unreachable: "
                << std::string(own_network_refused()));
        return;
    }
    run([](rig& at) -> task<void> {
        udp_peer theirs;
        auto made = open_datagrams(at.on);
        REQUIRE(made.has_value());
        at.expect_report_of(*made);
        const auto lost = co_await made->send_to(text("x"), *address::parse("192.0.2.1:9"));
        CHECK(lost.error == std::errc::network_unreachable);
        CHECK(co_await made->send_to(text("here"), theirs.local()));
        CHECK(theirs.receive() == "here");
        const teardown_report report = co_await close(*made);
        CHECK(row(report) == closed_row);
        CHECK(report.sent_bytes == 4);
        CHECK(report.unsent_bytes == 0);
    });
}

TEST_CASE("datagrams: two tasks close, both are told, and there is one report") {
    run([](rig& at) -> task<void> {
        auto ours = at.open_datagrams();
        std::vector<teardown_report> told(3);
        const auto closing = [](datagram_socket& by, teardown_report& into) -> task<void> {
            into = co_await close(by);
        };
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(closing(ours, told[0]));
            in.spawn(closing(ours, told[1]));
            told[2] = co_await ended(ours);
        });
        for (const teardown_report& each : told)
            CHECK(each.connection == ours.number());
        CHECK(row(at.only_report()) == closed_row);
    });
}

TEST_CASE("datagrams: a dropped socket with a receive in flight is joined, closed and reported") {
    run([](rig& at) -> task<void> {
        udp_peer theirs;
        auto ours = at.open_datagrams(theirs.local());
        const address was = ours.local();
        std::byte into[8];
        result<packet> got;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_into(ours, into, got));
            co_await noop();
            const datagram_socket gone = std::move(ours);
        });
        co_await at.all_reported();
        CHECK(got.error() == std::errc::operation_canceled);
        CHECK(row(at.only_report()) == "local dropped none closed unknown");
        CHECK(at.only_report().peer == theirs.local());
        const udp_peer next(false, was.port());
    });
}

TEST_CASE(
    "datagrams: a cancelled scope closes the sockets in it, and a loop that ends all others") {
    run([](rig& at) -> task<void> {
        const auto handle = [](datagram_socket handled) -> task<void> {
            std::byte into[8];
            const auto got = co_await handled.recv_from(into);
            CHECK(got.error() == std::errc::operation_canceled);
        };
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(handle(at.open_datagrams()));
            co_await noop();
            in.cancel();
        });
        co_await at.all_reported();
        CHECK(row(at.only_report()) == "local canceled none closed unknown");

        at.on.spawn(handle(at.open_datagrams()));
        co_await noop();
        at.at_end([](const std::vector<teardown_report>& all) {
            REQUIRE(all.size() == 2);
            CHECK(row(all.back()) == "local canceled none closed unknown");
        });
    });
}

TEST_CASE("datagrams: close in a scope that is cancelled closes all the same") {
    run([](rig& at) -> task<void> {
        auto ours = at.open_datagrams();
        std::optional<teardown_report> report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.cancel();
            in.spawn([](datagram_socket& by, std::optional<teardown_report>& into) -> task<void> {
                into = co_await close(by);
            }(ours, report));
            co_return;
        });
        REQUIRE(report.has_value());
        CHECK(row(*report) == closed_row);
    });
}

TEST_CASE("datagrams: the number of a closed descriptor is taken again at once") {
    run([](rig& at) -> task<void> {
        auto old = at.open_datagrams();
        udp_peer theirs;
        const int number = old.native_handle();
        const address was = old.local();
        std::byte into[8];
        result<packet> got;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_into(old, into, got));
            co_await noop();
            co_await close(old);
        });
        CHECK(got.error() == std::errc::operation_canceled);
        auto ours = at.open_datagrams();
        REQUIRE(ours.native_handle() == number);
        theirs.send_to("stray", was);
        theirs.send_to("new", ours.local());
        const auto message = co_await ours.recv(into);
        REQUIRE(message.has_value());
        CHECK(message->bytes == 3);
        CHECK((co_await old.send_to(text("x"), theirs.local())).error == errc::ending);
        CHECK((co_await close(ours)).received_bytes == 3);
    });
}
