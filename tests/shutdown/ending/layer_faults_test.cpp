#include "odd_layer.hpp"
#include "server_rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Layers that answer at the wrong time, fail, or are put over a stream that is in use.

TEST_CASE("layer: what it would answer behind our FIN is not said, and no end is called a reset") {
    for (const bool over_unix : {false, true}) {
        run([over_unix](rig& here) -> task<void> {
            auto [with, layer] = connect_odd(here, false, over_unix);
            layer->answers = true;
            auto& [ours, theirs] = with;
            unframed heard;
            peer_script reading(here.on, [&] {
                heard = unframe(all_of(theirs));
                theirs.write(framed("ping") + framed_goodbye());
                theirs.finish();
            });
            const teardown_report report = co_await graceful_close(ours);
            co_await reading.done();
            CHECK(heard.goodbye);
            CHECK(heard.whole);
            CHECK(row(report) == "local application graceful graceful acknowledged");
            CHECK(report.discarded_bytes == 4);
        });
    }
}

TEST_CASE("layer: behind our FIN, what it would say keeps nobody waiting") {
    run([](rig& here) -> task<void> {
        auto [with, layer] = connect_odd(here);
        layer->answers = true;
        auto& [ours, theirs] = with;
        const auto sent = co_await ours.send_last(text("answer"));
        CHECK(sent.bytes == 6);
        peer_script reading(here.on, [&] {
            CHECK(unframe(all_of(theirs)).goodbye);
            theirs.write(framed("ping"));
        });
        std::byte into[8];
        const auto got = co_await ours.recv(into);
        CHECK(got == 4);
        const auto arrived = co_await with_deadline(here.on.now() + 10s, delivered(ours));
        CHECK(arrived.has_value());
        theirs.write(framed_goodbye());
        theirs.finish();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.ending == actual_ending::graceful);
    });
}

TEST_CASE("layer: a send that waits for a handshake ends when there will be none") {
    enum class how { garbage, fin, reset };
    for (const how ends : {how::garbage, how::fin, how::reset}) {
        for (const bool sends_late : {false, true}) {
            run([ends, sends_late](rig& here) -> task<void> {
                auto [with, layer] = connect_odd(here, true);
                auto& [ours, theirs] = with;
                auto end = [&] {
                    if (ends == how::garbage) theirs.write(framed_rubbish());
                    if (ends == how::fin) theirs.finish();
                    if (ends == how::reset) theirs.reset();
                };
                sent outcome;
                if (sends_late) {
                    end();
                    co_await sleep_for(5ms);
                }
                co_await with_scope([&](scope& inside) -> task<void> {
                    inside.spawn(send_into(ours, text("never"), outcome));
                    co_await sleep_for(5ms);
                    if (!sends_late) end();
                });
                CHECK(outcome.bytes == 0);
                if (ends == how::garbage) CHECK(outcome.error == std::errc::bad_message);
                if (ends == how::fin) CHECK(outcome.error == errc::truncated);
                if (ends == how::reset) CHECK(outcome.error == std::errc::connection_reset);
                theirs.close();
                co_await graceful_close(ours, {.within = 10s});
            });
        }
    }
}

TEST_CASE("layer: what came ahead of it is the first that it decodes") {
    run([](rig& here) -> task<void> {
        auto [ours, theirs] = here.connect();
        // The receive stays armed after a few messages.
        for (int i = 0; i < 4; ++i) {
            theirs.write("x");
            const auto got = co_await ours.recv_lease();
            CHECK(got->size() == 1);
        }
        theirs.write(framed("early "));
        co_await sleep_for(5ms);
        CHECK(ours.use_layer(std::make_unique<framing_layer>()));
        theirs.write(framed("late") + framed_goodbye());
        theirs.finish();
        std::string whole;
        for (bool more = true; more;) {
            const auto got = co_await ours.recv_lease();
            more = got.has_value();
            if (got) whole.append(reinterpret_cast<const char*>(got->data().data()), got->size());
        }
        CHECK(whole == "early late");
        const teardown_report report = co_await graceful_close(ours);
        CHECK(report.received_bytes == 14);
        CHECK(report.discarded_bytes == 0);
    });
}

TEST_CASE("layer: over a stream that was shut down it is refused") {
    run([](rig& here) -> task<void> {
        auto first = here.connect();
        co_await first.ours.shutdown_receive();
        const auto deaf = first.ours.use_layer(std::make_unique<framing_layer>());
        CHECK(deaf.error() == errc::ending);
        auto second = here.connect();
        co_await second.ours.shutdown_send();
        const auto mute = second.ours.use_layer(std::make_unique<framing_layer>());
        CHECK(mute.error() == std::errc::broken_pipe);
        co_await abort_close(first.ours);
        co_await abort_close(second.ours);
    });
}

TEST_CASE("layer: peer_ended comes behind half a record, and behind what follows a goodbye") {
    for (const bool half : {true, false}) {
        run([half](rig& here) -> task<void> {
            auto [with, layer] = connect_odd(here);
            auto& [ours, theirs] = with;
            co_await ours.shutdown_receive();
            const std::string record = framed("record");
            theirs.write(half ? record.substr(0, 7) : framed_goodbye() + record);
            theirs.finish();
            const auto end = co_await with_deadline(here.on.now() + 10s, peer_ended(ours));
            REQUIRE(end.has_value());
            CHECK(*end == peer_end::finished);
            co_await abort_close(ours);
        });
    }
}

TEST_CASE("layer: with few buffers, and a reader that stands still, it hears all the same") {
    loop_options options;
    options.buffers = 2;
    run(
        [](rig& here) -> task<void> {
            auto [with, layer] = connect_odd(here, true);
            auto& [ours, theirs] = with;
            theirs.write(framed("request"));
            const auto got = co_await ours.recv_lease();
            CHECK(got->size() == 7);
            sent outcome;
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(send_into(ours, text("answer"), outcome));
                co_await sleep_for(2ms);
                theirs.write(framed_hello());
            });
            CHECK(outcome.bytes == 6);
            co_await abort_close(ours);
        },
        options);
}

TEST_CASE("layer: one that throws or fails ends its stream, and names why") {
    run([](rig& here) -> task<void> {
        auto first = connect_odd(here);
        first.layer->decode_throws = true;
        first.with.theirs.write(framed("boom"));
        std::byte into[8];
        const auto got = co_await first.with.ours.recv(into);
        CHECK(got.error() == std::errc::not_enough_memory);
        auto second = connect_odd(here);
        second.layer->encode_fails = true;
        const auto sent = co_await second.with.ours.send(text("boom"));
        CHECK(sent.error == std::errc::value_too_large);
        CHECK(sent.bytes == 0);
        const teardown_report report = co_await abort_close(second.with.ours);
        CHECK(report.error == std::errc::value_too_large);
        co_await abort_close(first.with.ours);
    });
}

TEST_CASE("layer: a client's session ends with the goodbye, and waits for no answer") {
    run([](rig& here) -> task<void> {
        auto [with, layer] = connect_odd(here);
        auto& [ours, theirs] = with;
        session asking(std::move(ours), session_role::client);
        auto request = asking.begin_request();
        REQUIRE(request.has_value());
        unframed heard;
        peer_script reading(here.on, [&] {
            theirs.write(framed_goodbye());
            heard = unframe(all_of(theirs));
            theirs.finish();
        });
        std::byte into[8];
        const auto got = co_await asking.recv(into);
        CHECK(got.error() == errc::end_of_stream);
        asking.begin_shutdown({.limits = {.within = 20s}});
        const session_report report = co_await asking.join();
        co_await reading.done();
        CHECK(heard.goodbye);
        CHECK(report.connection.microseconds.total < 15s);
        CHECK(report.peer == session_peer_end::truncated); // an answer was due
    });
}

TEST_CASE("layer: a small send goes out beside answers that never stop") {
    run([](rig& here) -> task<void> {
        auto [with, layer] = connect_odd(here);
        layer->answers = true;
        auto& [ours, theirs] = with;
        std::atomic<bool> over = false;
        peer_script pings(here.on, [&] {
            const std::string many = framed(std::string(2000, 'p'), 1);
            while (!over) {
                theirs.write(many);
                (void)theirs.read();
            }
        });
        co_await sleep_for(20ms);
        const auto sent = co_await with_deadline(here.on.now() + 20s, ours.send(text("once")));
        CHECK(sent.bytes == 4);
        over = true;
        const teardown_report report = co_await abort_close(ours);
        CHECK(report.sent_bytes == 4);
        co_await pings.done();
    });
}
