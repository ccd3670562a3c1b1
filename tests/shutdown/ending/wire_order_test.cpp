#include "rig.hpp"

#include "support/wire_capture.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// What goes over the wire, and in which order.

namespace {

std::uint16_t port_of(const stream& of) {
    address name;
    socklen_t bytes = address::capacity;
    ::getsockname(of.native_handle(), name.data(), &bytes);
    name.resize(bytes);
    return name.port();
}

bool cannot_capture(const wire_capture& capture) {
    if (capture.works() && has_own_network()) return false;
    MESSAGE("skip: no packet socket in a network of its own");
    return true;
}

} // namespace

TEST_CASE("on the wire: send_last puts FIN on the last segment") {
    wire_capture capture;
    if (cannot_capture(capture)) return;
    run([&](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.we_connect = true});
        const auto port = port_of(ours);
        theirs.finish();
        capture.take();
        const auto sent = co_await ours.send_last(text("answer"));
        CHECK(sent.bytes == 6);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(sent_by(capture.take(), port) == "data+fin");
    });
}

TEST_CASE("on the wire: send_last of much data, FIN behind all of it and once") {
    wire_capture capture;
    if (cannot_capture(capture)) return;
    run([&](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.we_connect = true});
        const auto port = port_of(ours);
        const auto answer = pattern(300'001);
        peer_script reader(at.on, [&] {
            CHECK(theirs.read_to_end().bytes == answer.size());
            theirs.finish();
        });
        capture.take();
        const auto sent = co_await ours.send_last(answer);
        CHECK(sent.bytes == answer.size());
        const teardown_report report = co_await graceful_close(ours);
        co_await reader.done();
        CHECK(report.ending == actual_ending::graceful);
        const auto order = sent_by(capture.take(), port);
        CAPTURE(order);
        // On the last segment, unless an acknowledgement let that one go before FIN was asked for.
        CHECK(order.find("fin") == order.size() - 3);
        CHECK(order.find("rst") == std::string::npos);
    });
}

TEST_CASE("on the wire: FIN follows queued data, in a graceful ending asked for right behind it") {
    wire_capture capture;
    if (cannot_capture(capture)) return;
    run([&](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.we_connect = true});
        const auto port = port_of(ours);
        sent outcome;
        peer_script reader(at.on, [&] {
            CHECK(theirs.read_to_end().bytes == 6);
            theirs.finish();
        });
        capture.take();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(send_into(ours, text("answer"), outcome));
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.ending == actual_ending::graceful);
        });
        co_await reader.done();
        const auto order = sent_by(capture.take(), port);
        CHECK((order == "data fin" || order == "data+fin"));
    });
}

TEST_CASE("on the wire: a graceful ending of an idle connection is one FIN each way") {
    wire_capture capture;
    if (cannot_capture(capture)) return;
    run([&](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.we_connect = true});
        const auto our_port = port_of(ours);
        const auto their_port = theirs.local().port();
        capture.take();
        peer_script reader(at.on, [&] {
            CHECK(theirs.read_to_end().finished);
            theirs.finish();
        });
        co_await graceful_close(ours);
        co_await reader.done();
        const auto all = capture.take();
        CHECK(sent_by(all, our_port) == "fin");
        CHECK(sent_by(all, their_port).starts_with("fin"));
    });
}

TEST_CASE("on the wire: past the deadline, one FIN and then one RST") {
    wire_capture capture;
    if (cannot_capture(capture)) return;
    run([&](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.we_connect = true});
        const auto port = port_of(ours);
        capture.take();
        co_await graceful_close(ours, {.within = 100ms});
        const auto all = capture.take();
        CHECK(sent_by(all, port) == "fin rst");
        CHECK(sent_by(all, theirs.local().port()) == "");
    });
}

TEST_CASE("on the wire: a dropped stream sends no FIN that would make its answer look whole") {
    wire_capture capture;
    if (cannot_capture(capture)) return;
    run([&](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.we_connect = true});
        const auto port = port_of(ours);
        capture.take();
        const auto sent = co_await ours.send(text("half"));
        CHECK(sent.bytes == 4);
        ours = stream();
        co_await at.all_reported();
        CHECK(sent_by(capture.take(), port) == "data rst");
    });
}

TEST_CASE("on the wire: a graceful ending whose peer has unread data for us sends no RST") {
    wire_capture capture;
    if (cannot_capture(capture)) return;
    run([&](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect({.we_connect = true});
        const auto port = port_of(ours);
        theirs.write_pattern(20'000);
        theirs.finish();
        const auto before = count_wire();
        capture.take();
        const auto sent = co_await ours.send_last(text("answer"));
        CHECK(sent.bytes == 6);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.discarded_bytes == 20'000);
        CHECK(sent_by(capture.take(), port) == "data+fin");
        const auto counted = count_wire() - before;
        CHECK(counted.resets_sent == 0);
        CHECK(counted.abort_on_close == 0);
        CHECK(counted.abort_on_data == 0);
    });
}

TEST_CASE("on the wire: a degraded ending shows in the counters as exactly one reset") {
    if (!has_own_network()) {
        MESSAGE("skip: no network of its own");
        return;
    }
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write("unread");
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        const auto before = count_wire();
        const teardown_report report = co_await graceful_close(ours, {.within = 100ms});
        CHECK(report.ending == actual_ending::degraded);
        const auto counted = count_wire() - before;
        CHECK(counted.resets_sent == 1);
        CHECK(counted.abort_on_close == 0);
    });
}
