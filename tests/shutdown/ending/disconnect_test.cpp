#include "rig.hpp"

#include "support/sock_diag.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Connections that the library ends and whose descriptor it leaves to the application.

namespace {

std::uint16_t port_of(int fd) {
    address name;
    socklen_t bytes = address::capacity;
    ::getsockname(fd, name.data(), &bytes);
    name.resize(bytes);
    return name.port();
}

template <class Stream>
constexpr bool takes_data = requires(Stream& ended, std::span<std::byte> data) {
    disconnect(ended, ending_policy{}, data);
} || requires(Stream& ended, std::span<std::byte> data) { recv_disconnect(ended, data); };

} // namespace

TEST_CASE("disconnect: takes no data, which no transport would carry") {
    CHECK(!takes_data<stream>); // so asking for it does not compile
}

TEST_CASE("disconnect: FIN behind everything, the peer's FIN, and the descriptor stays open") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const int number = ours.native_handle();
        const auto answer = pattern(300'000);
        peer_reading seen;
        peer_script reader(at.on, [&] {
            seen = theirs.read_to_end();
            theirs.write("last words");
            theirs.finish();
        });
        sent outcome;
        left_open left;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, answer, outcome));
            left = co_await disconnect(ours);
        });
        co_await reader.done();
        CHECK(row(left.report) == "local application graceful graceful acknowledged");
        CHECK(left.report.discarded_bytes == 10);
        CHECK(seen.bytes == answer.size());
        CHECK(seen.intact);
        CHECK(seen.finished);
        CHECK(left.descriptor.get() == number);
        CHECK(is_open(left.descriptor));
        CHECK(at.reports().size() == 1);
        std::byte into[8];
        const auto after = co_await ours.recv(into);
        CHECK(after.error() == errc::ending);
        at.check_resets(0);
    });
}

TEST_CASE("disconnect: past its deadline it aborts, says so, and leaves the descriptor") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto port = theirs.local().port();
        const auto our_port = port_of(ours.native_handle());
        const auto left = co_await disconnect(ours, {.within = 100ms});
        CHECK(row(left.report) == "local deadline graceful degraded acknowledged");
        CHECK(left.report.reset_sent);
        at.check_near(left.report.microseconds.total, 100ms);
        CHECK(is_open(left.descriptor));
        CHECK(theirs.read_to_end().finished); // FIN came first
        at.check_resets(1);
        CHECK(time_waits(port, our_port) == 0);
    });
}

TEST_CASE("disconnect: a peer that resets is reported, and the descriptor left") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        peer_script resetting(at.on, [&] {
            CHECK(theirs.read_to_end().finished);
            theirs.reset();
        });
        const auto left = co_await disconnect(ours);
        co_await resetting.done();
        CHECK(left.report.ending == actual_ending::reset);
        CHECK(left.report.cause == teardown_cause::peer_reset);
        CHECK(is_open(left.descriptor));
        at.check_resets(0);
    });
}

TEST_CASE("disconnect: beside a graceful_close that came first it gets the report alone") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        begin_ending(ours, {plans::graceful, teardown_cause::application, {}});
        theirs.finish();
        const auto left = co_await disconnect(ours);
        CHECK(left.report.ending == actual_ending::graceful);
        CHECK(!left.descriptor);
        at.check_resets(0);
    });
}

TEST_CASE("disconnect: cancelled, it aborts, and answers report and descriptor all the same") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        left_open left;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn([](stream& of, left_open& into) -> task<void> {
                into = co_await disconnect(of);
            }(ours, left));
            co_await sleep_for(5ms);
            in.cancel();
        });
        CHECK(left.report.cause == teardown_cause::canceled);
        CHECK(left.report.ending == actual_ending::degraded);
        CHECK(is_open(left.descriptor));
        at.check_resets(1);
    });
}

TEST_CASE("disconnect: a descriptor that nobody waited for is closed with the connection") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        ending_request request;
        request.requested = plans::disconnect;
        begin_ending(ours, request);
        ours = stream();
        theirs.finish();
        co_await at.all_reported();
        CHECK(at.only_report().ending == actual_ending::graceful);
    }); // and `run` finds no descriptor left
}

TEST_CASE("disconnect: after both FINs the same socket connects again, report and all") {
    for (const bool peer_first : {false, true}) {
        CAPTURE(peer_first);
        run([&](rig& at) -> task<void> {
            peer_listener first;
            peer_listener second;
            auto made = co_await connect(at.on, first.local());
            REQUIRE(made.has_value());
            at.expect_report_of(*made);
            auto theirs = first.accept();
            const int number = made->native_handle();
            if (peer_first) {
                theirs.finish();
                const auto end = co_await peer_closed(*made);
                CHECK(end == peer_end::finished);
            }
            peer_script finishing(at.on, [&] {
                CHECK(theirs.read_to_end().finished);
                theirs.finish();
            });
            auto left = co_await disconnect(*made);
            co_await finishing.done();
            CHECK(left.report.ending == actual_ending::graceful);
            auto again = co_await connect(at.on, std::move(left.descriptor), second.local());
            REQUIRE(again.has_value());
            at.expect_report_of(*again);
            CHECK(again->native_handle() == number);
            auto other = second.accept();
            const auto sent = co_await again->send(text("hello"));
            CHECK(sent.bytes == 5);
            CHECK(other.read() == "hello");
            other.write("and back");
            other.finish();
            std::byte into[64];
            const auto got = co_await again->recv(into);
            CHECK(got == 8);
            const teardown_report report = co_await graceful_close(*again);
            CHECK(report.ending == actual_ending::graceful);
            CHECK(report.delivery == delivery_verdict::acknowledged);
            CHECK(report.unacknowledged_bytes == 0U);
            at.check_resets(0);
        });
    }
}

TEST_CASE("abort_disconnect: RST, and the same descriptor and bound port connect again at once") {
    run([](rig& at) -> task<void> {
        peer_listener listener;
        // The kernel keeps a port that was bound by its number, not one of its own choice.
        const auto free_port = peer_listener().local();
        connect_options options;
        options.from = free_port;
        auto made = co_await connect(at.on, listener.local(), options);
        REQUIRE(made.has_value());
        at.expect_report_of(*made);
        auto theirs = listener.accept();
        const int number = made->native_handle();
        const auto port = port_of(number);
        CHECK(port == free_port.port());
        const auto sent = co_await made->send(text("lost or not"));
        CHECK(sent.bytes == 11);

        auto left = co_await abort_disconnect(*made);
        CHECK(left.report.ending == actual_ending::aborted);
        CHECK(left.report.reset_sent);
        CHECK(left.descriptor.get() == number);
        CHECK(port_of(number) == port);
        at.check_resets(1);
        // The peer's end is gone with the RST; nothing of the connection is left on either side.
        CHECK(theirs.read_to_end().error == ECONNRESET);
        CHECK(kernel_sockets(port, listener.local().port()).empty());

        auto again = co_await connect(at.on, std::move(left.descriptor), listener.local());
        REQUIRE(again.has_value());
        at.expect_report_of(*again);
        CHECK(again->native_handle() == number);
        CHECK(port_of(number) == port);
        auto other = listener.accept();
        const auto more = co_await again->send(text("second"));
        CHECK(more.bytes == 6);
        CHECK(other.read() == "second");
        other.write("seen");
        other.finish();
        std::byte into[64];
        const auto got = co_await again->recv(into);
        CHECK(got == 4);
        const teardown_report report = co_await graceful_close(*again);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.delivery == delivery_verdict::acknowledged);
        CHECK(report.unacknowledged_bytes == 0U);
        CHECK(report.sent_bytes == 6);
    });
}

TEST_CASE("abort_disconnect: many times over on one socket, nothing is ever in TIME_WAIT") {
    run([](rig& at) -> task<void> {
        peer_listener listener;
        unique_descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int number = socket.get();
        for (int i = 0; i < 50; ++i) {
            auto made = co_await connect(at.on, std::move(socket), listener.local());
            REQUIRE(made.has_value());
            at.expect_report_of(*made);
            CHECK(made->native_handle() == number);
            auto theirs = listener.accept();
            const auto port = port_of(number);
            auto left = co_await abort_disconnect(*made);
            CHECK(time_waits(port, listener.local().port()) == 0);
            CHECK(left.report.reset_sent);
            socket = std::move(left.descriptor);
        }
        at.check_resets(50);
    });
}

TEST_CASE("connect: the pair of addresses that is in TIME_WAIT can connect again, at once") {
    run([](rig& at) -> task<void> {
        peer_listener listener;
        connect_options options;
        options.from = peer_listener().local();
        auto made = co_await connect(at.on, listener.local(), options);
        REQUIRE(made.has_value());
        at.expect_report_of(*made);
        auto theirs = listener.accept();
        peer_script following(at.on, [&] {
            CHECK(theirs.read_to_end().finished);
            theirs.close();
        });
        auto left = co_await disconnect(*made);
        co_await following.done();
        CHECK(time_waits(options.from->port(), listener.local().port()) == 1); // we finished first
        // Timestamps tell the new connection's segments from the old one's.
        auto again = co_await connect(at.on, std::move(left.descriptor), listener.local());
        REQUIRE(again.has_value());
        at.expect_report_of(*again);
        CHECK(time_waits(options.from->port(), listener.local().port()) == 0);
        auto other = listener.accept();
        const auto sent = co_await again->send(text("hello"));
        CHECK(sent.bytes == 5);
        CHECK(other.read() == "hello");
        other.finish();
        const teardown_report report = co_await graceful_close(*again);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.delivery == delivery_verdict::acknowledged);
    });
}

TEST_CASE("connect: with a descriptor that is still connected it is refused, and no RST leaves") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        auto left = co_await release(ours);
        CHECK(left.report.ending == actual_ending::released);
        peer_listener listener;
        const auto again = co_await connect(at.on, std::move(left.descriptor), listener.local());
        CHECK(again.error() == std::errc::already_connected);
        CHECK(theirs.read_to_end().finished); // closed, as connect says
        at.check_resets(0);
    });
}
