#include <netinet/tcp.h>

#include "odd_layer.hpp"
#include "server_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Ends that meet a layer in the middle of something.

TEST_CASE("layer: put over a stream that has ended already, it decodes what came before the end") {
    run([](rig& here) -> task<void> {
        auto [ours, theirs] = here.connect();
        for (int i = 0; i < 4; ++i) {
            theirs.write("x");
            const auto got = co_await ours.recv_lease();
            CHECK(got->size() == 1);
        }
        theirs.write(framed("last"));
        theirs.finish();
        co_await sleep_for(5ms); // the receive that stays armed has taken both
        CHECK(ours.use_layer(std::make_unique<framing_layer>()));
        std::byte into[16];
        const auto got = co_await ours.recv(into);
        CHECK(got == 4);
        const auto end = co_await ours.recv(into);
        CHECK(end.error() == errc::truncated);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.cause == teardown_cause::truncated);
        CHECK(report.discarded_bytes == 0);
    });
}

TEST_CASE(
    "layer: a send whose layer takes no more is not failed while its bytes are on their way") {
    run([](rig& here) -> task<void> {
        auto [with, layer] = connect_odd(here);
        auto& [ours, theirs] = with;
        sent outcome;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(send_into(ours, text("whole"), outcome));
            layer->rekeys = true;
            theirs.finish();
            co_await sleep_for(5ms);
        });
        CHECK(outcome.bytes == ours.bytes().sent);
        CHECK(ours.bytes().sent <= ours.bytes().handed);
        const teardown_report report = co_await abort_close(ours);
        CHECK(report.unsent_bytes == 0);
    });
}

TEST_CASE("layer: behind a failure nothing waits to be sent, and the ending says why") {
    for (const bool partly : {true, false}) {
        run([partly](rig& here) -> task<void> {
            auto [with, layer] = connect_odd(here);
            auto& [ours, theirs] = with;
            if (partly) {
                const auto sent = co_await ours.send(text("good"));
                CHECK(sent.bytes == 4);
            }
            layer->encode_fails = true;
            const auto failed = co_await ours.send(text("bad"));
            CHECK(failed.error == std::errc::value_too_large);
            std::byte into[8];
            const auto got = co_await ours.recv(into);
            CHECK(got.error() == std::errc::value_too_large);
            const auto arrived = co_await with_deadline(here.on.now() + 10s, delivered(ours));
            CHECK(arrived.has_value());
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.cause == teardown_cause::error);
            CHECK(report.error == std::errc::value_too_large);
            CHECK(report.ending == actual_ending::degraded);
        });
    }
}

TEST_CASE("layer: no FIN follows a last answer that could not be sent") {
    run([](rig& here) -> task<void> {
        auto [with, layer] = connect_odd(here, true);
        auto& [ours, theirs] = with;
        theirs.finish();
        co_await sleep_for(5ms); // there will be no handshake
        const auto last = co_await ours.send_last(text("answer"));
        CHECK(last.error == errc::truncated);
        CHECK(last.bytes == 0);
        CHECK(theirs.tcp_state() != TCP_TIME_WAIT);
        CHECK(theirs.tcp_state() != TCP_CLOSE);
        co_await abort_close(ours);
        CHECK(theirs.read().empty());
        CHECK(theirs.last_error() == ECONNRESET);
    });
}

TEST_CASE("layer: while receiving is sealed as well, one that speaks too much hears no more") {
    run([](rig& here) -> task<void> {
        auto [with, layer] = connect_odd(here);
        layer->answers = true;
        auto& [ours, theirs] = with;
        co_await ours.shutdown_receive(~std::uint64_t{0});
        ::fcntl(theirs.descriptor(), F_SETFL, O_NONBLOCK);
        const std::string pings = framed(std::string(1000, 'p'), 1);
        std::uint64_t taken = 0;
        for (std::uint64_t before = 1; before != taken && taken < 64 << 20;) {
            before = taken;
            for (int round = 0; round < 20; ++round) {
                taken += theirs.write(pings);
                co_await sleep_for(2ms);
            }
        }
        CHECK(taken < 64 << 20);
        co_await abort_close(ours);
    });
}

TEST_CASE("peer_closed: an end on which a policy acts is told to who waits, in either order") {
    for (const bool waits_first : {true, false}) {
        run([waits_first](rig& here) -> task<void> {
            auto [ours, theirs] = here.connect();
            result<peer_end> end = std::unexpected(canceled());
            auto wait = [](stream& watched, result<peer_end>& into) -> task<void> {
                into = co_await peer_closed(watched);
            };
            const peer_end_policy finish{.does = peer_end_policy::action::finish};
            co_await with_scope([&](scope& inside) -> task<void> {
                if (waits_first) inside.spawn(wait(ours, end));
                when_peer_ends(ours, finish);
                if (!waits_first) inside.spawn(wait(ours, end));
                theirs.finish();
                co_await here.all_reported();
            });
            CHECK(end == peer_end::finished);
        });
    }
}

TEST_CASE("peer_closed: one that is cancelled ends, although a policy looks on") {
    run([](rig& here) -> task<void> {
        auto [ours, theirs] = here.connect();
        const peer_end_policy finish{.does = peer_end_policy::action::finish};
        when_peer_ends(ours, finish);
        when_peer_ends(ours, {});
        result<peer_end> end = peer_end::reset;
        auto wait = [](stream& watched, result<peer_end>& into) -> task<void> {
            into = co_await peer_closed(watched);
        };
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(wait(ours, end));
            co_await sleep_for(2ms);
            inside.cancel();
            when_peer_ends(ours, finish);
        });
        CHECK(end.error() == std::errc::operation_canceled);
        theirs.finish();
        co_await here.all_reported();
    });
}
