#include "session_rig.hpp"

#include <ringdown/shutdown/session/internal/session_access.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// When FIN leaves, as the wire tells it.

namespace {

struct recorded {
    wire_capture capture;
    std::string so_far;

    bool works() const {
        if (capture.works() && has_own_network()) return true;
        MESSAGE("skip: no packet socket in a network of its own");
        return false;
    }
    const std::string& by(std::uint16_t port) {
        const auto more = sent_by(capture.take(), port);
        if (!more.empty()) so_far += (so_far.empty() ? "" : " ") + more;
        return so_far;
    }
};

std::uint16_t port_of(const session& of) {
    address name;
    socklen_t bytes = address::capacity;
    ::getsockname(state_of(of).descriptor(), name.data(), &bytes);
    name.resize(bytes);
    return name.port();
}

} // namespace

TEST_CASE("on the wire: a server's FIN comes behind its last answer, and not before") {
    recorded wire;
    if (!wire.works()) return;
    run([&](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server, {}, {.we_connect = true});
        const auto port = port_of(s);
        wire.capture.take();
        auto one = s.begin_request();
        auto two = s.begin_request();
        CHECK(s.begin_shutdown());
        co_await sleep_for(10ms);
        CHECK(wire.by(port) == "");
        const auto first = co_await one->send(text("one"));
        CHECK(!first.error);
        one->finish();
        co_await sleep_for(10ms);
        CHECK(wire.by(port) == "data");
        const auto second = co_await two->send(text("two"));
        CHECK(!second.error);
        co_await sleep_for(10ms);
        CHECK(wire.by(port) == "data data"); // handed over is not finished
        two->finish();
        co_await our_fin_arrives(at, theirs);
        CHECK(wire.by(port) == "data data fin");
        theirs.close(); // with its data unread, which makes a close of it a reset
        const auto done = co_await report_of(s);
        CHECK(done.answered == 2);
        at.check_resets(0);
    });
}

TEST_CASE("on the wire: a client's FIN goes at once, with answers due, and once") {
    recorded wire;
    if (!wire.works()) return;
    run([&](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client, {}, {.we_connect = true});
        const auto port = port_of(s);
        const auto their_port = theirs.local().port();
        wire.capture.take();
        auto due = s.begin_request();
        const auto asked = co_await due->send(text("request"));
        CHECK(!asked.error);
        CHECK(s.begin_shutdown());
        co_await our_fin_arrives(at, theirs);
        CHECK(wire.by(port) == "data fin");
        theirs.write("answer");
        CHECK(theirs.read() == "request");
        std::byte into[64];
        const auto got = co_await s.recv(into);
        CHECK(*got == 6);
        due->finish();
        theirs.close();
        const auto done = co_await report_of(s);
        const auto rest = wire.capture.take();
        CHECK(sent_by(rest, port) == "");
        CHECK(sent_by(rest, their_port) == "data fin");
        CHECK(row(done.connection) == "local application graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("on the wire: the server's FIN answers the client's behind the answers, six steps") {
    recorded wire;
    if (!wire.works()) return;
    run([&](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::server, {}, {.we_connect = true});
        const auto port = port_of(s);
        wire.capture.take();
        auto owed = s.begin_request();
        theirs.finish();
        received got;
        co_await receive_all(s, got);
        co_await sleep_for(10ms);
        CHECK(wire.by(port) == "");
        const auto sent = co_await owed->send(text("answer"));
        CHECK(!sent.error);
        owed->finish();
        const auto done = co_await report_of(s);
        CHECK(theirs.read() == "answer");
        const auto& all = wire.by(port);
        CHECK((all == "data fin" || all == "data+fin"));
        CHECK(row(done.connection) == "peer peer_finished graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("on the wire: both begin with FIN at the same time, with nothing pending") {
    recorded wire;
    if (!wire.works()) return;
    run([&](rig& at) -> task<void> {
        auto [s, theirs] = converse(at, session_role::client, {}, {.we_connect = true});
        const auto port = port_of(s);
        wire.capture.take();
        CHECK(s.begin_shutdown());
        theirs.finish();
        const auto done = co_await report_of(s);
        CHECK(wire.by(port) == "fin");
        CHECK(done.peer == session_peer_end::graceful);
        CHECK(done.connection.ending == actual_ending::graceful);
        at.check_resets(0);
    });
}

TEST_CASE("on the wire: a session that is disposed of sends RST and no FIN") {
    recorded wire;
    if (!wire.works()) return;
    run([&](rig& at) -> task<void> {
        peer theirs;
        std::uint16_t port = 0;
        {
            auto talk = converse(at, session_role::server, {}, {.we_connect = true});
            theirs = std::move(talk.theirs);
            port = port_of(talk.ours);
            wire.capture.take();
        }
        co_await at.all_reported();
        CHECK(wire.by(port) == "rst");
        at.check_resets(1);
    });
}
