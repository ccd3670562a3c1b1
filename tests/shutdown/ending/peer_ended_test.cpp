#include "rig.hpp"

#include <ringdown/net/internal/tcp_state.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// The peer's end as an event behind all its data: graceful or abortive, once.

namespace {

task<void> watch_into(stream& of, std::optional<result<peer_end>>& into, int& times) {
    into = co_await peer_ended(of);
    ++times;
}

task<std::uint64_t> read_all(stream& from, std::error_code& end) {
    std::vector<std::byte> into(1'000);
    std::uint64_t received = 0;
    for (;;) {
        const auto got = co_await from.recv(into);
        if (!got) {
            end = got.error();
            co_return received;
        }
        received += *got;
    }
}

} // namespace

TEST_CASE("peer_ended: told once, after the application has received everything") {
    for (const bool resets : {false, true}) {
        CAPTURE(resets);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            theirs.write_pattern(5'000);
            if (resets)
                theirs.reset();
            else
                theirs.finish();
            std::optional<result<peer_end>> end;
            int times = 0;
            std::error_code last;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(watch_into(ours, end, times));
                co_await sleep_for(10ms);
                CHECK(times == 0);
                std::byte into[4'999];
                const auto most = co_await ours.recv(into);
                CHECK(most == 4'999);
                co_await sleep_for(5ms);
                CHECK(times == 0); // one byte is left
                const auto one = co_await ours.recv(into);
                CHECK(one == 1);
                co_await sleep_for(1ms);
                CHECK(times == 1);
            });
            REQUIRE(end.has_value());
            CHECK(*end == (resets ? peer_end::reset : peer_end::finished));
            CHECK(times == 1);
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.received_bytes == 5'000);
            CHECK(report.ending == (resets ? actual_ending::reset : actual_ending::graceful));
        });
    }
}

TEST_CASE("peer_ended: with nothing unread it needs no reading") {
    for (const bool resets : {false, true}) {
        CAPTURE(resets);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            std::optional<result<peer_end>> end;
            int times = 0;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(watch_into(ours, end, times));
                co_await sleep_for(5ms);
                CHECK(times == 0);
                if (resets)
                    theirs.reset();
                else
                    theirs.finish();
            });
            REQUIRE(end.has_value());
            CHECK(*end == (resets ? peer_end::reset : peer_end::finished));
            const auto again = co_await peer_ended(ours);
            CHECK(again == *end);
            co_await graceful_close(ours);
        });
    }
}

TEST_CASE("peer_ended: with leases, behind the last that was taken") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        for (int i = 0; i < 3; ++i) {
            theirs.write("message");
            const auto got = co_await ours.recv_lease();
            CHECK(got.has_value());
        }
        theirs.write("last one");
        theirs.finish();
        co_await sleep_for(5ms);
        std::optional<result<peer_end>> end;
        int times = 0;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(watch_into(ours, end, times));
            co_await sleep_for(10ms);
            CHECK(times == 0);
            const auto got = co_await ours.recv_lease();
            REQUIRE(got.has_value());
            CHECK(got->data().size() == 8);
            // The receive that stays armed may still have to meet the end.
            const auto none = co_await ours.recv_lease();
            CHECK(none.error() == errc::end_of_stream);
        });
        CHECK(times == 1);
        CHECK(end == peer_end::finished);
        co_await graceful_close(ours);
    });
}

TEST_CASE("peer_ended: who receives the last data goes on before who waits for the end") {
    for (const bool leased : {false, true}) {
        CAPTURE(leased);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            theirs.write("last one");
            theirs.finish();
            std::string order;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn([](stream& of, std::string& into) -> task<void> {
                    const auto end = co_await peer_ended(of);
                    CHECK(end == peer_end::finished);
                    into += "end ";
                }(ours, order));
                co_await sleep_for(5ms);
                CHECK(order.empty());
                std::byte into[8];
                if (leased) {
                    const auto got = co_await ours.recv_lease();
                    CHECK(got.has_value());
                } else {
                    const auto got = co_await ours.recv(into);
                    CHECK(got == 8);
                }
                order += "data ";
            });
            CHECK(order == "data end ");
            co_await graceful_close(ours);
        });
    }
}

TEST_CASE("peer_ended: beside a receive that is in flight, its data comes first") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::optional<result<peer_end>> end;
        int times = 0;
        std::error_code last;
        std::uint64_t received = 0;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(watch_into(ours, end, times));
            in.spawn([](stream& by, std::uint64_t& bytes, std::error_code& how) -> task<void> {
                bytes = co_await read_all(by, how);
            }(ours, received, last));
            co_await sleep_for(5ms);
            theirs.write_pattern(50'000);
            theirs.finish();
        });
        CHECK(received == 50'000);
        CHECK(last == errc::end_of_stream);
        CHECK(times == 1);
        CHECK(end == peer_end::finished);
        co_await graceful_close(ours);
    });
}

TEST_CASE("peer_ended: nothing after close: an ending cancels it, and it never tells of an end") {
    for (const bool unread : {false, true}) {
        CAPTURE(unread);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            if (unread) {
                theirs.write("never read");
                theirs.finish();
            }
            std::optional<result<peer_end>> end;
            int times = 0;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(watch_into(ours, end, times));
                co_await sleep_for(5ms);
                CHECK(times == 0);
                const teardown_report report = co_await abort_close(ours);
                CHECK(report.ending == actual_ending::aborted);
            });
            CHECK(times == 1);
            REQUIRE(end.has_value());
            CHECK(end->error() == std::errc::operation_canceled);
        });
    }
}

TEST_CASE("peer_ended: cancelled while it waits for reading, it says so, and nothing is lost") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write("kept");
        theirs.finish();
        std::optional<result<peer_end>> end;
        int times = 0;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(watch_into(ours, end, times));
            co_await sleep_for(5ms);
            in.cancel();
        });
        REQUIRE(end.has_value());
        CHECK(end->error() == std::errc::operation_canceled);
        std::byte into[8];
        const auto got = co_await ours.recv(into);
        CHECK(got == 4);
        const auto after = co_await peer_ended(ours);
        CHECK(after == peer_end::finished);
        co_await graceful_close(ours);
    });
}

TEST_CASE("peer's end: behind a full window FIN is not sent, so only room lets it be seen") {
    run([](rig& at) -> task<void> {
        // What fills our receive queue and the peer's send queue.
        auto [ours, theirs] = at.connect({.we_connect = true});
        const auto queued = theirs.write_what_fits(256 << 20);
        theirs.finish();
        std::optional<result<peer_end>> end;
        int times = 0;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(watch_into(ours, end, times));
            co_await sleep_for(50ms);
            CHECK(times == 0);
            CHECK(theirs.tcp_state() == static_cast<int>(tcp_state::fin_wait_1));
            CHECK(tcp_info_of(at.on.calls(), ours.native_handle()).state ==
                  tcp_state::established); // nothing has come
            const auto stopped = co_await ours.shutdown_receive(512 << 20);
            CHECK(stopped.has_value());
        });
        CHECK(end == peer_end::finished);
        CHECK(ours.bytes().discarded == queued);
        const teardown_report report = co_await graceful_close(ours);
        CHECK(row(report) == "peer peer_finished graceful graceful acknowledged");
        at.check_resets(0);
    });
}

TEST_CASE("peer's end: with a full receive queue FIN and RST are seen without reading") {
    for (const bool resets : {false, true}) {
        CAPTURE(resets);
        run([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            theirs.write_pattern(60'000);
            if (resets) {
                theirs.write_what_fits(256 << 20); // past the window: RST needs no room
                theirs.reset();
            } else {
                theirs.finish();
            }
            const auto end = co_await peer_closed(ours);
            CHECK(end == (resets ? peer_end::reset : peer_end::finished));
            CHECK(ours.bytes().received == 0);
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.ending == (resets ? actual_ending::reset : actual_ending::graceful));
            CHECK(report.initiator == teardown_initiator::peer);
        });
    }
}
