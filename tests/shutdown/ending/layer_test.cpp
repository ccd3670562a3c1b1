#include "server_rig.hpp"

#include "support/framing_layer.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// A layer between the stream and its socket: both ways, its goodbye, and what the report makes of
// them. The peers are plain sockets, which read and write the records by themselves.

namespace {

conversation connect_layered(rig& here, const pair_options& how = {},
                             std::unique_ptr<layer> beneath = std::make_unique<framing_layer>()) {
    conversation made = here.connect(how);
    CHECK(made.ours.use_layer(std::move(beneath)));
    return made;
}

std::string all_of(peer& theirs) {
    std::string whole;
    for (std::string part = theirs.read(); !part.empty(); part = theirs.read())
        whole += part;
    return whole;
}

// Reads until the goodbye, says its own, and FIN.
unframed converse_to_end(peer& theirs) {
    const unframed heard = unframe(all_of(theirs));
    theirs.write(framed_goodbye());
    theirs.finish();
    return heard;
}

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

task<std::string> receive_text(stream& from, std::size_t bytes) {
    std::string whole;
    while (whole.size() < bytes) {
        const auto got = co_await from.recv_lease();
        if (!got) co_return whole + "|" + got.error().message();
        whole += text_of(got->data());
    }
    co_return whole;
}

} // namespace

TEST_CASE("layer: bytes of every send verb arrive in its records, in order, goodbye ahead of FIN") {
    run([](rig& here) -> task<void> {
        auto [ours, theirs] = connect_layered(here);
        const std::string first(2500, 'a'); // three records
        const std::string second = "bc";
        const std::array<iovec, 3> parts{iovec{const_cast<char*>(second.data()), 1}, iovec{},
                                         iovec{const_cast<char*>(second.data()) + 1, 1}};
        const auto one = co_await ours.send(text(first));
        const auto two = co_await ours.send_vectored(parts);
        const auto three = co_await ours.send_zero_copy(text("d"));
        const auto last = co_await ours.send_last(text("e"));
        CHECK(one.bytes == 2500);
        CHECK(two.bytes == 2);
        CHECK(three.bytes == 1);
        CHECK(last.bytes == 1);
        CHECK(ours.bytes().sent == 2504);
        unframed heard;
        peer_script reading(here.on, [&] { heard = converse_to_end(theirs); });
        const teardown_report report = co_await graceful_close(ours);
        co_await reading.done();
        CHECK(heard.plain == first + "bcde");
        CHECK(heard.goodbye);
        CHECK(heard.whole);
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(report.sent_bytes == 2504);
        CHECK(report.unacknowledged_bytes == 0);
    });
}

TEST_CASE("layer: what the peer sends is received as its plain bytes, however it is cut") {
    run([](rig& here) -> task<void> {
        auto [ours, theirs] = connect_layered(here);
        peer_script writing(here.on, [&] {
            for (const char byte : framed("hello, ") + framed("world"))
                theirs.write(std::string(1, byte));
            theirs.write(framed_goodbye());
            theirs.finish();
        });
        const std::string got = co_await receive_text(ours, 12);
        CHECK(got == "hello, world");
        std::array<std::byte, 10> more;
        const auto end = co_await ours.recv(more);
        CHECK(end.error() == errc::end_of_stream);
        co_await writing.done();
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
        CHECK(report.received_bytes == 12);
        CHECK(report.discarded_bytes == 0);
    });
}

TEST_CASE("layer: FIN without the peer's goodbye is truncated, to the receiver and in the report") {
    for (const bool received : {true, false}) {
        run([received](rig& here) -> task<void> {
            auto [ours, theirs] = connect_layered(here);
            theirs.write(framed("all of it?"));
            theirs.finish();
            if (received) {
                const std::string got = co_await receive_text(ours, 10);
                CHECK(got == "all of it?");
                const auto end = co_await ours.recv_lease();
                CHECK(end.error() == errc::truncated);
                const auto again = co_await ours.recv_lease();
                CHECK(again.error() == errc::truncated);
            }
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.cause == teardown_cause::truncated);
            CHECK(report.ending == actual_ending::delivered);
            CHECK(report.peer_finished);
            CHECK(report.received_bytes + report.discarded_bytes == 10);
            CHECK(report.discarded_bytes == (received ? 0 : 10));
        });
    }
}

TEST_CASE("layer: the peer's goodbye is the end, before its FIN") {
    run([](rig& here) -> task<void> {
        auto [ours, theirs] = connect_layered(here);
        theirs.write(framed("done") + framed_goodbye());
        const std::string got = co_await receive_text(ours, 4);
        CHECK(got == "done");
        const auto end = co_await ours.recv_lease();
        CHECK(end.error() == errc::end_of_stream);
        unframed heard;
        peer_script reading(here.on, [&] {
            heard = unframe(all_of(theirs));
            theirs.finish();
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await reading.done();
        CHECK(heard.goodbye);
        CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
    });
}

TEST_CASE(
    "layer: a record that is wrong is told behind what came before, and named by the report") {
    run([](rig& here) -> task<void> {
        auto [ours, theirs] = connect_layered(here);
        theirs.write(framed("good") + framed_rubbish() + framed("never"));
        const std::string got = co_await receive_text(ours, 4);
        CHECK(got == "good");
        const auto end = co_await ours.recv_lease();
        CHECK(end.error() == std::errc::bad_message);
        unframed heard;
        peer_script reading(here.on, [&] { heard = converse_to_end(theirs); });
        const teardown_report report = co_await graceful_close(ours);
        co_await reading.done();
        CHECK(report.cause == teardown_cause::error);
        CHECK(report.ending == actual_ending::delivered);
        CHECK(report.error == std::errc::bad_message);
        CHECK(report.received_bytes == 4);
    });
}

TEST_CASE("layer: an ending reads what it drops for the peer's goodbye") {
    run([](rig& here) -> task<void> {
        auto [ours, theirs] = connect_layered(here);
        unframed heard;
        peer_script reading(here.on, [&] {
            theirs.write(framed(std::string(30'000, 'x')));
            heard = converse_to_end(theirs);
        });
        const teardown_report report = co_await graceful_close(ours);
        co_await reading.done();
        CHECK(heard.goodbye);
        CHECK(row(report) == "local application graceful graceful acknowledged");
        CHECK(report.discarded_bytes == 30'000);
    });
}

TEST_CASE("layer: an abort says no goodbye") {
    run([](rig& here) -> task<void> {
        auto [ours, theirs] = connect_layered(here);
        const auto sent = co_await ours.send(text("half"));
        CHECK(sent.bytes == 4);
        const std::string arrived = theirs.read();
        const teardown_report report = co_await abort_close(ours);
        const unframed heard = unframe(arrived + all_of(theirs));
        CHECK(heard.plain == "half");
        CHECK(!heard.goodbye);
        CHECK(theirs.last_error() == ECONNRESET);
        CHECK(row(report) == "local application abort aborted acknowledged");
        here.check_resets(1);
    });
}

TEST_CASE("layer: sends wait for the handshake, and the farewell stands ahead of the goodbye") {
    run([](rig& here) -> task<void> {
        auto [ours, theirs] = connect_layered(here, {}, std::make_unique<framing_layer>(true));
        ours.on_farewell(text("bye"));
        sent early;
        unframed heard;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(send_into(ours, text("early "), early));
            co_await sleep_for(5ms);
            CHECK(ours.bytes().sent == 0);
            theirs.write(framed_hello());
        });
        CHECK(early.bytes == 6);
        peer_script reading(here.on, [&] { heard = converse_to_end(theirs); });
        const teardown_report report = co_await graceful_close(ours);
        co_await reading.done();
        CHECK(heard.hello);
        CHECK(heard.plain == "early bye");
        CHECK(heard.goodbye);
        CHECK(report.sent_bytes == 9);
        CHECK(row(report) == "local application graceful graceful acknowledged");
    });
}

TEST_CASE("layer: a send cancelled in the middle of a record leaves no hole") {
    run([](rig& here) -> task<void> {
        auto [ours, theirs] =
            connect_layered(here, {.our_send_buffer = 4096, .their_receive_buffer = 4096});
        const std::string big(4 << 20, 'x');
        const auto cut = co_await with_deadline(here.on.now() + 50ms, ours.send(text(big)));
        CHECK(cut.error == std::errc::operation_canceled);
        CHECK(cut.bytes < big.size());
        CHECK(cut.bytes >= ours.bytes().sent);
        // The application goes on from there, and all of it arrives whole.
        const std::string rest(big.substr(cut.bytes).substr(0, 10'000));
        unframed heard;
        peer_script reading(here.on, [&] { heard = converse_to_end(theirs); });
        const auto more = co_await ours.send(text(rest));
        CHECK(more.bytes == rest.size());
        const teardown_report report = co_await graceful_close(ours);
        co_await reading.done();
        CHECK(heard.sound);
        CHECK(heard.whole);
        CHECK(heard.plain.size() == cut.bytes + rest.size());
        CHECK(report.sent_bytes == heard.plain.size());
    });
}

TEST_CASE("layer: a report claims no byte of a record that did not arrive whole") {
    run([](rig& here) -> task<void> {
        auto [ours, theirs] =
            connect_layered(here, {.our_send_buffer = 4096, .their_receive_buffer = 4096},
                            std::make_unique<framing_layer>(false, 100));
        const std::string big(8 << 20, 'x');
        const auto cut = co_await with_deadline(here.on.now() + 50ms, ours.send(text(big)));
        CHECK(cut.error == std::errc::operation_canceled);
        const std::uint64_t wire = theirs.arrived_at_rest();
        std::string arrived;
        for (; arrived.size() < wire && theirs.unread() > 0;)
            arrived += theirs.read(std::min<std::size_t>(theirs.unread(), wire - arrived.size()));
        const teardown_report report = co_await abort_close(ours);
        const std::uint64_t whole = unframe(arrived).plain.size();
        REQUIRE(report.unacknowledged_bytes);
        const std::uint64_t claimed = report.sent_bytes - *report.unacknowledged_bytes;
        CHECK(claimed >= whole); // more may have come while the peer read
        CHECK(claimed <= report.sent_bytes);
        CHECK(claimed <= theirs.arrived());
    });
}

TEST_CASE("layer: a server gives each connection one, and a drain says goodbye to the idle") {
    run([](rig& here) -> task<void> {
        server_options options;
        options.layer = [] { return std::make_unique<framing_layer>(true); };
        server_rig served(here, echo, options);
        std::optional<drain_report> drained;
        unframed heard;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(served.run());
            peer client = served.connect();
            client.write(framed_hello() + framed("ping"));
            co_await served.until(connection_activity::idle, 1);
            peer_script reading(here.on, [&] { heard = converse_to_end(client); });
            co_await drain_into(served.serving, {}, drained);
            co_await reading.done();
        });
        CHECK(heard.plain == "ping");
        CHECK(heard.goodbye);
        REQUIRE(served.reports().size() == 1);
        const teardown_report& report = served.reports()[0];
        CHECK(report.ending == actual_ending::graceful);
        CHECK(report.cause == teardown_cause::drain);
        CHECK(report.received_bytes == 4);
        CHECK(report.sent_bytes == 4);
    });
}

TEST_CASE("layer: half a record that has come is no idleness") {
    run([](rig& here) -> task<void> {
        server_options options;
        options.layer = [] { return std::make_unique<framing_layer>(); };
        server_rig served(here, echo, options);
        std::optional<drain_report> drained;
        unframed heard;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(served.run());
            peer client = served.connect();
            client.write(framed("ping"));
            co_await served.until(connection_activity::idle, 1);
            const std::string request = framed("last");
            client.write(request.substr(0, 5));
            co_await eventually(here, [&] { return client.unread() > 0; });
            inside.spawn(drain_into(served.serving, {.notice_for = 1s}, drained));
            co_await sleep_for(20ms);
            client.write(request.substr(5));
            peer_script reading(here.on, [&] { heard = converse_to_end(client); });
            co_await reading.done();
        });
        CHECK(heard.plain == "pinglast");
        CHECK(heard.goodbye);
    });
}

namespace {

// One that answers each record that comes, as a layer may have to.
class talkative_layer final : public framing_layer {
public:
    explicit talkative_layer(std::size_t& said) : said_(said) {}

    std::error_code decode(std::span<const std::byte> wire, buffer& plain,
                           buffer& answer) override {
        const std::error_code error = framing_layer::decode(wire, plain, answer);
        const std::string words = framed(std::string(plain.size(), 'w'));
        const auto bytes = std::as_bytes(std::span(words));
        answer.insert(answer.end(), bytes.begin(), bytes.end());
        said_ += words.size();
        return error;
    }

private:
    std::size_t& said_;
};

} // namespace

TEST_CASE("layer: a peer that makes it speak and does not read is not heard any more") {
    run([](rig& here) -> task<void> {
        std::size_t said = 0;
        auto [ours, theirs] =
            connect_layered(here, {.our_send_buffer = 4096, .their_receive_buffer = 4096},
                            std::make_unique<talkative_layer>(said));
        const std::string much = framed(std::string(16 << 20, 'x'));
        unframed heard;
        std::uint64_t taken = 0;
        std::uint64_t received = 0;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn([](stream& from, std::uint64_t& bytes) -> task<void> {
                for (bool more = true; more;) {
                    const auto got = co_await from.recv_lease();
                    more = got.has_value();
                    if (got) bytes += got->size();
                }
            }(ours, received));
            ::fcntl(theirs.descriptor(), F_SETFL, O_NONBLOCK);
            // Until nothing has moved for a while.
            for (std::uint64_t before = 1; before != taken;) {
                before = taken;
                for (int round = 0; round < 20; ++round) {
                    taken += theirs.write(std::string_view(much).substr(taken));
                    co_await sleep_for(2ms);
                }
            }
            CHECK(taken < much.size());
            CHECK(said < 1 << 20);
            inside.cancel();
        });
        co_await abort_close(ours);
    });
}
