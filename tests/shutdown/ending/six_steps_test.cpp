#include "rig.hpp"

#include <algorithm>
#include <cstring>

using namespace ringdown;
using namespace ringdown::testing;

// The six-step order: the client finishes; the server sees the end; it sends the rest; it
// finishes; the client reads the rest and sees the end; both close.

namespace {

constexpr std::uint64_t sizes[] = {1, 64 << 10, 64 << 20};

std::span<const std::byte> stream_of(std::uint64_t bytes) {
    static const auto all = pattern(64 << 20);
    return std::span(all).first(bytes);
}

// What one side read, held against the bytes that the other sent.
struct reading {
    std::uint64_t bytes = 0;
    bool intact = true;
    bool finished = false;

    void add(std::span<const std::byte> piece) {
        const auto expected = stream_of(64 << 20).subspan(bytes, piece.size());
        intact = intact && std::memcmp(piece.data(), expected.data(), piece.size()) == 0;
        bytes += piece.size();
    }
    void check(std::uint64_t expected) const {
        CHECK(bytes == expected);
        CHECK(intact);
        CHECK(finished);
    }
};

task<void> read_to_end(stream& from, reading& into) {
    std::vector<std::byte> room(256 << 10);
    for (;;) {
        const auto got = co_await from.recv(room);
        if (!got) {
            into.finished = got.error() == errc::end_of_stream;
            co_return;
        }
        into.add(std::span(room).first(*got));
    }
}

void read_to_end(int fd, reading& into) {
    std::vector<std::byte> room(256 << 10);
    ssize_t got = 0;
    while ((got = ::recv(fd, room.data(), room.size(), 0)) > 0)
        into.add(std::span(room).first(static_cast<std::size_t>(got)));
    into.finished = got == 0;
}

bool write_all(int fd, std::span<const std::byte> data) {
    while (!data.empty()) {
        const auto sent = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        data = data.subspan(static_cast<std::size_t>(sent));
    }
    return true;
}

task<void> play_client(stream& by, std::uint64_t bytes, reading& seen, teardown_report& report) {
    const auto sent = co_await by.send(stream_of(bytes));
    CHECK(sent.bytes == bytes);
    const auto finished = co_await by.shutdown_send(); // 1
    CHECK(finished.has_value());
    co_await read_to_end(by, seen);       // 5
    report = co_await graceful_close(by); // 6
}

task<void> play_server(stream& by, std::uint64_t bytes, reading& seen, teardown_report& report) {
    co_await read_to_end(by, seen);                       // 2
    const auto sent = co_await by.send(stream_of(bytes)); // 3
    CHECK(sent.bytes == bytes);
    const auto finished = co_await by.shutdown_send(); // 4
    CHECK(finished.has_value());
    report = co_await graceful_close(by); // 6
}

// A step that is taken before the one that must precede it shows on the wire: the server's FIN
// stands behind the client's, each is the last that its side sends, and nobody resets.
void check_wire(const std::vector<wire_segment>& all, std::uint16_t client, std::uint16_t server,
                rig& at) {
    if (!has_own_network()) {
        MESSAGE("skip: no packet socket in a network of its own");
        return;
    }
    const auto fin_of = [&all](std::uint16_t port) {
        return std::ranges::find_if(
            all, [port](const wire_segment& each) { return each.fin && each.from == port; });
    };
    wire_resets resets;
    for (const wire_segment& each : all)
        resets.add(each);
    const auto fins = std::ranges::count_if(all, &wire_segment::fin);
    CHECK(resets.sent_by({client, server}) == 0);
    CHECK(fins >= 2);
    CHECK(static_cast<std::uint64_t>(fins) <= 2 + at.wire().retransmitted);
    REQUIRE(fin_of(client) != all.end());
    REQUIRE(fin_of(server) != all.end());
    CHECK(fin_of(client) < fin_of(server));
}

std::uint16_t port_of(int fd) {
    address name;
    socklen_t bytes = address::capacity;
    ::getsockname(fd, name.data(), &bytes);
    name.resize(bytes);
    return name.port();
}

void check_reports(const teardown_report& client, const teardown_report& server) {
    CHECK(client.ending == actual_ending::graceful);
    CHECK(client.delivery == delivery_verdict::acknowledged);
    CHECK(client.initiator == teardown_initiator::local);
    CHECK(client.phase == teardown_phase::finished);
    CHECK(client.discarded_bytes == 0);
    CHECK(row(server) == "peer peer_finished graceful graceful acknowledged");
    CHECK(server.discarded_bytes == 0);
}

} // namespace

TEST_CASE("six steps: the library as client, a plain socket as server, data of any size") {
    for (const auto bytes : sizes) {
        CAPTURE(bytes);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect({.we_connect = true});
            wire_capture capture(wire_capture::what::ends);
            const auto client = port_of(ours.native_handle());
            const auto server = theirs.local().port();
            reading at_client, at_server;
            bool answered = false;
            peer_script serving(at.on, [&] {
                read_to_end(theirs.descriptor(), at_server);
                answered = write_all(theirs.descriptor(), stream_of(bytes));
                theirs.finish();
                theirs.close();
            });
            teardown_report report;
            co_await play_client(ours, bytes, at_client, report);
            co_await serving.done();
            CHECK(answered);
            at_client.check(bytes);
            at_server.check(bytes);
            CHECK(row(report) == "local application graceful graceful acknowledged");
            check_wire(capture.take(), client, server, at);
            at.check_resets(0);
        });
    }
}

TEST_CASE("six steps: the library as server, a plain socket as client, data of any size") {
    for (const auto bytes : sizes) {
        CAPTURE(bytes);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            wire_capture capture(wire_capture::what::ends);
            const auto client = theirs.local().port();
            const auto server = port_of(ours.native_handle());
            reading at_client, at_server;
            bool asked = false;
            peer_script asking(at.on, [&] {
                asked = write_all(theirs.descriptor(), stream_of(bytes));
                theirs.finish();
                read_to_end(theirs.descriptor(), at_client);
                theirs.close();
            });
            teardown_report report;
            co_await play_server(ours, bytes, at_server, report);
            co_await asking.done();
            CHECK(asked);
            at_client.check(bytes);
            at_server.check(bytes);
            CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
            check_wire(capture.take(), client, server, at);
            at.check_resets(0);
        });
    }
}

TEST_CASE("six steps: the library on both sides, data of any size") {
    for (const auto bytes : sizes) {
        CAPTURE(bytes);
        run([&](rig& at) -> task<void> {
            peer_listener listening;
            auto made = co_await connect(at.on, listening.local());
            REQUIRE(made.has_value());
            at.expect_report_of(*made);
            auto accepted = at.take_over(listening.accept_descriptor());
            wire_capture capture(wire_capture::what::ends);
            const auto client = port_of(made->native_handle());
            const auto server = port_of(accepted.native_handle());
            reading at_client, at_server;
            teardown_report of_client, of_server;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(play_server(accepted, bytes, at_server, of_server));
                in.spawn(play_client(*made, bytes, at_client, of_client));
                co_return;
            });
            at_client.check(bytes);
            at_server.check(bytes);
            check_reports(of_client, of_server);
            check_wire(capture.take(), client, server, at);
            at.check_resets(0);
        });
    }
}
