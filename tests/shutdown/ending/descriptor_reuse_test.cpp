#include <fcntl.h>
#include <unistd.h>

#include "rig.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// The number of a closed descriptor is taken again at once.

namespace {

// Ends one connection that has something in flight, and puts another on its number.
task<void> reuse_once(rig& at, bool leases, bool graceful) {
    auto old = at.connect();
    auto fresh = tcp_pair();
    const int number = old.ours.native_handle();
    std::byte into[64];
    result<std::size_t> got;
    co_await with_scope([&](scope& in) -> task<void> {
        if (leases)
            in.spawn([](stream& by) -> task<void> {
                const auto none = co_await by.recv_lease();
                CHECK(!none.has_value());
            }(old.ours));
        else
            in.spawn(receive_into(old.ours, into, got));
        co_await noop();
        if (graceful) {
            old.theirs.finish();
            co_await graceful_close(old.ours);
        } else {
            co_await abort_close(old.ours);
        }
    });

    const int again = ::fcntl(fresh.ours, F_DUPFD_CLOEXEC, number);
    ::close(fresh.ours);
    REQUIRE(again == number);
    stream ours = at.take_over(again);
    old.theirs.write("for the old one");
    fresh.theirs.write("for the new one");
    std::byte buffer[64];
    const auto received = co_await ours.recv(buffer);
    REQUIRE(received.has_value());
    CHECK(std::string_view(reinterpret_cast<const char*>(buffer), *received) == "for the new one");
    // What is left of the old one does not reach the number any more.
    const auto refused = co_await old.ours.send(text("stray"));
    CHECK(refused.error == errc::ending);
    const auto answered = co_await ours.send(text("answer"));
    CHECK(answered.bytes == 6);
    CHECK(fresh.theirs.read() == "answer");
    fresh.theirs.finish();
    const teardown_report report = co_await graceful_close(ours);
    CHECK(report.ending == actual_ending::graceful);
    CHECK(report.sent_bytes == 6);
    CHECK(report.received_bytes == 15);
    CHECK(report.discarded_bytes == 0);
}

} // namespace

TEST_CASE("the same descriptor number reused at once: no cross-talk") {
    for (const bool leases : {false, true})
        for (const bool graceful : {false, true}) {
            CAPTURE(leases);
            CAPTURE(graceful);
            run([&](rig& at) -> task<void> {
                for (int i = 0; i < 25; ++i)
                    co_await reuse_once(at, leases, graceful);
            });
        }
}

TEST_CASE("the same descriptor number reused while the old stream is ended in the background") {
    run([](rig& at) -> task<void> {
        for (int i = 0; i < 50; ++i) {
            auto old = at.connect();
            const auto number = old.ours.number();
            old.theirs.finish();
            co_await close(old.ours, lingering::background(2s));
            old.ours = stream();
            // The next one is made while the last is still being closed.
            auto next = at.connect();
            CHECK(next.ours.number() > number);
            next.theirs.write("ping");
            std::byte into[8];
            const auto got = co_await next.ours.recv(into);
            CHECK(got == 4);
            next.theirs.finish();
            const teardown_report report = co_await graceful_close(next.ours);
            CHECK(report.ending == actual_ending::graceful);
            CHECK(report.received_bytes == 4);
        }
        co_await at.all_reported();
        at.check_resets(0);
    });
}
