#include <algorithm>
#include <functional>
#include <thread>

#include "rig.hpp"
#include "support/counting_system.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// What a graceful ending that does not wait for its peer costs beyond the loop's own calls.

namespace {

std::string list(const counting_system& calls) {
    std::string all;
    for (const auto& [name, count] : calls.by_name())
        if (name != "ring_enter") all += name + " " + std::to_string(count) + "; ";
    return all;
}

bool kernel_is_too_old(rig& at) {
    if (at.on.has(capability::socket_queue_commands) &&
        at.on.has(capability::socket_option_commands) && at.on.fin() == fin_method::system_call)
        return false;
    MESSAGE("skip: without socket commands on the ring there are more calls");
    return true;
}

struct cost {
    std::uint64_t operations = 0; // of the ring
    std::uint64_t calls = 0;      // enters among them
};

using conversation_of_one = std::function<task<teardown_report>(stream&, peer&)>;

task<cost> count(rig& at, counting_system& calls, const conversation_of_one& serve) {
    const auto any = address::parse("127.0.0.1:0").value();
    listener from(at.on, std::make_shared<listening_socket>(any));
    peer theirs = connect_peer(from.local());
    auto ours = co_await from.accept();
    REQUIRE(ours.has_value());
    at.expect_report_of(*ours);
    theirs.write("request");
    calls.forget();
    const auto before = at.on.statistics().submitted;
    std::byte into[64];
    const auto received = co_await ours->recv(into);
    CHECK(received == 7);
    const teardown_report report = co_await serve(*ours, theirs);
    CHECK(report.peer == theirs.local());
    CHECK(ours->peer() == theirs.local()); // also of a stream that has ended
    CHECK(report.delivery == delivery_verdict::acknowledged);
    co_return cost{at.on.statistics().submitted - before, calls.calls()};
}

// What a connection takes from its request to its end: the peer acts between two steps of ours, so
// nothing depends on who is faster. The least of three: the loop's alarm, which the first of them
// sets for all, and which may ring, belongs to no connection.
cost cost_of_one(const conversation_of_one& serve) {
    counting_system calls;
    loop_options options;
    options.calls = &calls;
    cost least;
    run(
        [&](rig& at) -> task<void> {
            if (kernel_is_too_old(at)) co_return;
            least = co_await count(at, calls, serve);
            for (int more = 0; more < 2; ++more) {
                const cost next = co_await count(at, calls, serve);
                least.operations = std::min(least.operations, next.operations);
                least.calls = std::min(least.calls, next.calls);
            }
        },
        options);
    return least;
}

void check_cost(const cost& found, const cost& expected) {
    if (found.calls == 0) return; // skipped
    CHECK(found.operations == expected.operations);
    CHECK(found.calls == expected.calls);
}

void check_at_most(const counting_system& calls, std::uint64_t most) {
    const std::string made = list(calls);
    CAPTURE(made);
    CHECK(calls.calls() - calls.enters() <= most);
}

} // namespace

TEST_CASE("system calls: at most one when the peer has finished first") {
    counting_system calls;
    loop_options options;
    options.calls = &calls;
    run(
        [&](rig& at) -> task<void> {
            if (kernel_is_too_old(at)) co_return;
            auto [ours, theirs] = at.connect();
            theirs.finish();
            std::byte into[8];
            const auto end = co_await ours.recv(into);
            CHECK(end.error() == errc::end_of_stream);
            const auto sent = co_await ours.send(text("answer"));
            CHECK(sent.bytes == 6);
            calls.forget();
            const teardown_report report = co_await graceful_close(ours);
            check_at_most(calls, 1);
            MESSAGE("enters of an ending where the peer finished first: " << calls.enters());
            CHECK(report.ending == actual_ending::graceful);
        },
        options);
}

TEST_CASE("system calls: at most one when we finish first and the peer follows promptly") {
    counting_system calls;
    loop_options options;
    options.calls = &calls;
    run(
        [&](rig& at) -> task<void> {
            if (kernel_is_too_old(at)) co_return;
            auto [ours, theirs] = at.connect();
            const auto sent = co_await ours.send(text("answer"));
            CHECK(sent.bytes == 6);
            // Not a peer_script, whose end is told to the loop by a call that would be counted.
            std::jthread reader([&] {
                theirs.read_to_end();
                theirs.finish();
            });
            calls.forget();
            const teardown_report report = co_await graceful_close(ours);
            check_at_most(calls, 1);
            MESSAGE("enters of an ending where we finished first: " << calls.enters());
            CHECK(report.ending == actual_ending::graceful);
        },
        options);
}

TEST_CASE("system calls: at most one with FIN sent already, none with both FINs") {
    counting_system calls;
    loop_options options;
    options.calls = &calls;
    run(
        [&](rig& at) -> task<void> {
            if (kernel_is_too_old(at)) co_return;
            auto [ours, theirs] = at.connect();
            const auto sent = co_await ours.send_last(text("answer"));
            CHECK(sent.bytes == 6);
            CHECK(theirs.read() == "answer");
            theirs.finish();
            std::byte into[8];
            const auto end = co_await ours.recv(into);
            CHECK(end.error() == errc::end_of_stream);
            calls.forget();
            const teardown_report report = co_await graceful_close(ours);
            check_at_most(calls, 0);
            CHECK(report.ending == actual_ending::graceful);
        },
        options);
}

TEST_CASE("system calls: at most one for each of many, accepted by the library's listener") {
    counting_system calls;
    loop_options options;
    options.calls = &calls;
    run(
        [&](rig& at) -> task<void> {
            if (kernel_is_too_old(at)) co_return;
            constexpr std::size_t many = 100;
            std::vector<stream> ours;
            std::vector<peer> theirs;
            {
                listener from(at.on, std::make_shared<listening_socket>(
                                         address::parse("127.0.0.1:0").value()));
                for (std::size_t i = 0; i < many; ++i) {
                    theirs.push_back(connect_peer(from.local()));
                    auto accepted = co_await from.accept();
                    REQUIRE(accepted.has_value());
                    at.expect_report_of(*accepted);
                    ours.push_back(std::move(*accepted));
                }
                const auto stopped = co_await from.stop();
                CHECK(stopped.has_value());
            }
            for (auto& each : theirs)
                each.finish();
            calls.forget();
            co_await with_scope([&](scope& in) -> task<void> {
                for (auto& each : ours)
                    in.spawn([](stream& ended) -> task<void> {
                        const auto& report = co_await graceful_close(ended);
                        CHECK(report.ending == actual_ending::graceful);
                        CHECK(report.peer.family() == AF_INET);
                    }(each));
                co_return;
            });
            check_at_most(calls, many);
            MESSAGE("enters for " << many << " endings at once: " << calls.enters());
            CHECK(calls.enters() < many);
        },
        options);
}

// Receive, discard until FIN, the queue and the peer's name at once, close; send(2), shutdown(2).
TEST_CASE("system calls: a connection that we end first takes five operations and six calls") {
    const cost found = cost_of_one([](stream& ours, peer& theirs) -> task<teardown_report> {
        const auto sent = co_await ours.send_last(text("answer"));
        CHECK(sent.bytes == 6);
        CHECK(theirs.read_to_end().finished);
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.initiator == teardown_initiator::local);
        CHECK(report.microseconds.fin_acknowledged.has_value());
        co_return report;
    });
    check_cost(found, {5, 6});
}

// Receive twice, send, the queue and the peer's name at once, close; shutdown(2).
TEST_CASE(
    "system calls: a connection that the peer ends first takes six operations and six calls") {
    const cost found = cost_of_one([](stream& ours, peer& theirs) -> task<teardown_report> {
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        CHECK(theirs.read() == "answer");
        theirs.finish();
        std::byte into[8];
        const auto end = co_await ours.recv(into);
        CHECK(end.error() == errc::end_of_stream);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.initiator == teardown_initiator::peer);
        co_return report;
    });
    check_cost(found, {6, 6});
}

// Receive, send, close; the peer's name, TCP_INFO and connect(2).
TEST_CASE("system calls: a connection that we abort takes three operations and six calls") {
    const cost found = cost_of_one([](stream& ours, peer& theirs) -> task<teardown_report> {
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        CHECK(theirs.read() == "answer");
        const teardown_report report = co_await abort_close(ours);
        CHECK(report.ending == actual_ending::aborted);
        CHECK(report.reset_sent);
        co_return report;
    });
    check_cost(found, {3, 6});
}

TEST_CASE("system calls: an ending that waits does not wake the loop for nothing") {
    counting_system calls;
    loop_options options;
    options.calls = &calls;
    run(
        [&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            calls.forget();
            co_await graceful_close(ours, {.within = 300ms});
            const std::string made = list(calls);
            CAPTURE(made);
            CAPTURE(calls.enters());
            CHECK(calls.calls() < 30);
        },
        options);
}
