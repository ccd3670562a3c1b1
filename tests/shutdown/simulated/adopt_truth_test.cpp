#include "sim_rig.hpp"

#include <cstring>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

using namespace ringdown;
using namespace ringdown::testing;

// A socket that is adopted with bytes of the application's own on their way: none of them is ever
// taken for one of those that the library sent.

namespace {

std::vector<std::byte> some(std::size_t bytes) { return std::vector<std::byte>(bytes); }

// Takes over while acknowledgements come, sends 500 bytes, which a peer that has vanished never
// gets, and resets.
teardown_report report_of_500(const sim_options& options, const peer_script& peer,
                              std::uint64_t sent_before, std::chrono::nanoseconds under_way) {
    sim_rig at(options);
    teardown_report report;
    at.run([&]() -> task<void> {
        const int fd = at.kernel.adopt_peer(peer);
        at.kernel.send_before(fd, sent_before);
        at.kernel.pass(under_way);
        stream ours = at.take_over(fd);
        co_await sleep_for(200ms); // everything has been acknowledged, the peer is gone
        REQUIRE(at.kernel.truth(0).acknowledged == sent_before);
        const auto data = some(500);
        const auto sent = co_await ours.send(data);
        CHECK(sent.bytes == 500);
        co_await sleep_for(200ms);
        report = co_await abort_close(ours);
    });
    return report;
}

} // namespace

TEST_CASE(
    "adopt: bytes that the application sent, acknowledged meanwhile, count for none of ours") {
    for (const bool we_connect : {false, true}) {
        for (int under_way_us = 20; under_way_us < 45; ++under_way_us) {
            CAPTURE(we_connect);
            CAPTURE(under_way_us);
            peer_script peer;
            peer.we_connected = we_connect;
            peer.send_capacity = peer.window = 400'000;
            peer.read(16'384, 1us).await_bytes(300'000);
            const bool arrives = under_way_us % 2 == 0;
            if (!arrives) peer.vanish();
            // Each call takes a microsecond, so at one of these steps all are acknowledged between
            // any two of them.
            const auto report = report_of_500({.disturbed = false, .call_time = 1us}, peer, 300'000,
                                              std::chrono::microseconds(under_way_us));
            CHECK(report.delivery ==
                  (arrives ? delivery_verdict::acknowledged : delivery_verdict::unacknowledged));
            CHECK(report.unacknowledged_bytes == (arrives ? 0 : 500));
        }
    }
}

TEST_CASE("adopt: in any order of acknowledgements and questions, no byte is claimed too much") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        peer_script peer;
        peer.we_connected = seed % 2 == 0;
        peer.latency = std::chrono::microseconds(seed % 30);
        peer.send_capacity = peer.window = 200'000;
        peer.read(16'384, 3us).await_bytes(100'000);
        const bool arrives = seed % 3 == 0;
        if (!arrives) peer.vanish();
        const auto report = report_of_500({.seed = seed}, peer, 100'000, peer.latency * 2);
        CHECK(report.unacknowledged_bytes == (arrives ? 0 : 500));
    }
}

TEST_CASE(
    "adopt: where nobody tells what is outstanding, less is known to have arrived, never more") {
    for (const bool arrives : {false, true}) {
        CAPTURE(arrives);
        sim_rig at;
        at.run([&]() -> task<void> {
            peer_script peer;
            if (!arrives) peer.await_bytes(1'000).vanish();
            const int fd = at.kernel.adopt_peer(peer);
            at.kernel.send_before(fd, 1'000);
            at.kernel.pass(10ms);
            at.kernel.refuse_queue_sizes();
            stream ours = at.take_over(fd);
            const auto data = some(500);
            const auto sent = co_await ours.send(data);
            CHECK(sent.bytes == 500);
            co_await sleep_for(10ms);
            const teardown_report report = co_await abort_close(ours);
            CHECK(report.delivery == delivery_verdict::unacknowledged);
            CHECK(report.unacknowledged_bytes == 500);
        });
    }
}

TEST_CASE("adopt: what is outstanding is no more than before, so a peer's later word is believed") {
    sim_rig at;
    at.run([&]() -> task<void> {
        peer_script peer;
        peer.ack_delay = 30ms;
        const int fd = at.kernel.adopt_peer(peer.await_fin().finish());
        at.kernel.send_before(fd, 5'000);
        stream ours = at.take_over(fd);
        const auto data = some(500);
        const auto sent = co_await ours.send(data);
        CHECK(sent.bytes == 500);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.sent_bytes == 500);
        CHECK(report.unacknowledged_bytes == 0);
    });
}

TEST_CASE("adopt: a FIN of the application's own is the one that has to be acknowledged") {
    for (const bool answered : {false, true}) {
        CAPTURE(answered);
        sim_rig at;
        at.run([&]() -> task<void> {
            peer_script peer;
            if (answered)
                peer.await_fin().pause(5ms).reset();
            else
                peer.vanish();
            const int fd = at.kernel.adopt_peer(peer);
            at.kernel.pass(1ms);
            at.kernel.send_before(fd, 5'000);
            at.kernel.shutdown(fd, SHUT_WR);
            at.kernel.pass(1ms);
            stream ours = at.take_over(fd);
            const teardown_report report = co_await abort_close(ours);
            CHECK(report.sent_bytes == 0);
            CHECK(report.ending == actual_ending::aborted);
            // Of a FIN that the library did not send its report says nothing.
            CHECK(report.phase == teardown_phase::open);
            CHECK(report.unacknowledged_bytes == 0);
        });
    }
}

TEST_CASE("adopt: connections that both have ended in order are read to their end, and graceful") {
    for (const bool we_connect : {false, true}) {
        for (const bool unread : {false, true}) {
            CAPTURE(we_connect);
            CAPTURE(unread);
            sim_rig at;
            at.run([&]() -> task<void> {
                peer_script peer;
                peer.we_connected = we_connect;
                if (unread) peer.write("last words");
                const int fd = at.kernel.adopt_peer(peer.finish());
                at.kernel.send_before(fd, 100);
                at.kernel.pass(1ms);
                at.kernel.shutdown(fd, SHUT_WR);
                at.kernel.pass(1ms);
                REQUIRE(at.kernel.state(0) == 7);
                stream ours = at.take_over(fd);
                std::byte into[64];
                if (unread) {
                    const auto got = co_await ours.recv(into);
                    CHECK(got == 10);
                }
                const auto end = co_await ours.recv(into);
                CHECK(end.error() == errc::end_of_stream);
                const teardown_report report = co_await graceful_close(ours);
                CHECK(report.ending == actual_ending::graceful);
                CHECK(report.delivery == delivery_verdict::acknowledged);
                CHECK(!report.reset_received);
            });
        }
    }
}

TEST_CASE("adopt: after a reset a socket is not connected, whoever has been told of the error") {
    for (const bool told : {false, true}) {
        for (const bool we_connect : {false, true}) {
            for (const bool finished : {false, true}) {
                CAPTURE(told);
                CAPTURE(we_connect);
                CAPTURE(finished);
                sim_rig at;
                peer_script peer;
                peer.we_connected = we_connect;
                peer.pause(1ms);
                if (finished) peer.finish();
                const int fd = at.kernel.adopt_peer(peer.pause(1ms).reset());
                at.kernel.send_before(fd, 100);
                at.kernel.pass(5ms);
                REQUIRE(at.kernel.state(0) == 7);
                // FIN, then RST, on a client's socket whose error was taken: looks like the end.
                if (told && we_connect && finished) continue;
                int error = 0;
                socklen_t bytes = sizeof error;
                if (told) at.kernel.getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
                const auto refused = adopt(at.loop, fd);
                REQUIRE(!refused);
                CHECK(refused.error() == std::errc::not_connected);
                CHECK(at.kernel.close(fd) == 0); // the caller's
            }
        }
    }
}

TEST_CASE("adopt: a socket with another protocol over TCP is refused, and none is put there") {
    sim_rig at;
    at.run([&]() -> task<void> {
        const int fd = at.kernel.adopt_peer(peer_script().await_fin().finish());
        char name[4] = "tls";
        REQUIRE(at.kernel.setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, sizeof name) == 0);
        const auto refused = adopt(at.loop, fd);
        REQUIRE(!refused);
        CHECK(refused.error() == std::errc::protocol_not_supported);
        CHECK(at.kernel.close(fd) == 0);

        stream ours = at.connect(peer_script().await_fin().finish());
        std::array<char, 4> wanted{'t', 'l', 's', 0};
        const auto set = co_await ours.set_option(IPPROTO_TCP, TCP_ULP, wanted);
        CHECK(set.error() == std::errc::protocol_not_supported);
        std::array<char, 4> there{};
        socklen_t bytes = sizeof there;
        at.kernel.getsockopt(ours.native_handle(), IPPROTO_TCP, TCP_ULP, there.data(), &bytes);
        CHECK(there[0] == 0);
        co_await graceful_close(ours);
    });
}
