#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/ringdown.hpp>
#include <ringdown/shutdown/server/internal/idle_limit.hpp>

#include "support/sim_kernel.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

// When an idle time is over, and how it ends a connection, on a clock that is exact.

namespace {

using handler = std::function<task<void>(stream&)>;

constexpr auto idle_time = 160ms;
constexpr auto between_looks = idle_time / 16;
constexpr auto turn = 10us;   // entering the simulated kernel takes a few of them at most
constexpr auto network = 1ms; // more than the simulated one takes for a few bytes

struct outcome {
    std::chrono::nanoseconds after{0}; ///< When the ending was asked for.
    teardown_report report;
    std::string peer_got;
    std::vector<std::string> violations;
};

std::string row(const outcome& of) {
    std::string all;
    for (const auto part : {name(of.report.cause), name(of.report.requested),
                            name(of.report.ending), name(of.report.phase)})
        all += (all.empty() ? "" : " ") + std::string(part);
    return all;
}

// Keeps the mark and the idle time of a connection, as a server does.
class server_of_one final : public report_sink {
public:
    ~server_of_one() { served_->unfollow(*this); }
    server_of_one(stream& served, const ending_request& when_idle)
        : served_(state_of(served)), limit_(*served_, mark_, when_idle, idle_time) {
        served_->follow(*this);
    }

private:
    void mark_idle(bool idle) noexcept override { mark_.set_idle(idle, served_->bytes()); }
    void note_requests(bool in_progress) noexcept override { mark_.set_requests(in_progress); }
    void reported(const teardown_report&) noexcept override {}

    connection_ref served_;
    handler_mark mark_;
    idle_limit limit_;
};

task<void> serve(loop& on, int fd, const handler& body, const ending_request& when_idle,
                 loop::time_point& begun) {
    auto ours = adopt(on, fd);
    begun = on.now();
    server_of_one server(*ours, when_idle);
    co_await body(*ours);
    co_await sleep_for(10s); // what it has not ended by then it never ends
}

outcome end_idle(const peer_script& script, const handler& body,
                 const ending_plan& when_idle = plans::graceful) {
    sim_kernel kernel({.disturbed = false, .calls_take_time = false});
    loop_options options;
    options.calls = &kernel;
    outcome made;
    {
        loop on(options);
        const int fd = kernel.adopt_peer(script);
        loop::time_point begun;
        ledger(on).on_report([&](const teardown_report& report) {
            made.report = report;
            made.after = on.seen_at() - begun - report.microseconds.total;
        });
        on.run(serve(on, fd, body, {.requested = when_idle}, begun));
    }
    made.peer_got = kernel.arrived(0);
    made.violations = kernel.violations();
    CHECK(made.violations.empty());
    return made;
}

void check_at_once(const outcome& of) {
    CHECK(of.after >= idle_time);
    CHECK(of.after < idle_time + turn);
}

// After the last byte moved: a look later at the most, since bytes do not ring.
void check_after(const outcome& of, std::chrono::nanoseconds last_moved) {
    CHECK(of.after >= last_moved + idle_time);
    CHECK(of.after <= last_moved + idle_time + between_looks + network);
}

task<void> wait_for_request(stream& with) {
    std::array<std::byte, 64> into;
    (void)co_await with.recv(into);
}

task<void> answer_half_and_wait(stream& with) {
    co_await wait_for_request(with);
    (void)co_await with.send(bytes_of("half an answer"));
    co_await sleep_for(20s); // the backend
}

} // namespace

TEST_CASE("idle time: a peer that sends nothing is finished when it is over, to the moment") {
    const auto quiet = end_idle(peer_script().await_fin().finish(), wait_for_request);
    CHECK(row(quiet) == "idle graceful graceful finished");
    check_at_once(quiet);
    const auto reset = end_idle(peer_script().await_fin().finish(), wait_for_request, plans::abort);
    CHECK(row(reset) == "idle abort aborted open");
    check_at_once(reset);
}

TEST_CASE("idle time: one whose handler does not even receive is idle while nobody said anything") {
    const auto quiet = end_idle(peer_script().await_fin().finish(),
                                [](stream&) -> task<void> { co_await sleep_for(20s); });
    CHECK(row(quiet) == "idle graceful graceful finished");
    check_at_once(quiet);
}

TEST_CASE("idle time: a peer that takes its answer slowly is not idle before all of it has moved") {
    const std::string answer(165'536, 'a'); // ten times 10,000 more than the peer's window
    const auto slow = end_idle(peer_script().read(10'000, 100ms).write("request").await_fin(),
                               [&answer](stream& with) -> task<void> {
                                   co_await wait_for_request(with);
                                   (void)co_await with.send(bytes_of(answer));
                                   co_await wait_for_request(with);
                               });
    CHECK(slow.report.cause == teardown_cause::idle);
    CHECK(slow.report.delivery == delivery_verdict::acknowledged);
    check_after(slow, 1000ms);
}

TEST_CASE("idle time: FIN follows a greeting when the handler marks the connection behind it") {
    for (const bool marked : {false, true}) {
        CAPTURE(marked);
        const auto greeted = end_idle(peer_script().await_fin().finish(),
                                      [marked](stream& with) { // outlives the task
                                          return [](stream& to, bool marks) -> task<void> {
                                              (void)co_await to.send(bytes_of("220 ready"));
                                              if (marks) to.mark_idle();
                                              co_await wait_for_request(to);
                                          }(with, marked);
                                      });
        CHECK(row(greeted) ==
              (marked ? "idle graceful graceful finished" : "idle abort aborted open"));
        CHECK(greeted.peer_got == "220 ready");
        check_after(greeted, 0ms);
    }
}

TEST_CASE("idle time: FIN never follows half an answer, whatever idle ones get") {
    for (const auto how : {plans::graceful, plans::background, plans::wait, plans::abort}) {
        CAPTURE(std::string(name(how.called)));
        const auto cut =
            end_idle(peer_script().write("request").await_fin(), answer_half_and_wait, how);
        CHECK(row(cut) == "idle abort aborted open");
        CHECK(cut.report.reset_sent);
        CHECK(cut.peer_got == "half an answer");
        check_after(cut, 0ms);
    }
}

TEST_CASE("idle time: half an answer that nobody asked for is reset, and so is one under way") {
    const auto half = end_idle(peer_script().await_fin(), [](stream& with) -> task<void> {
        (void)co_await with.send(bytes_of("first part"));
        co_await sleep_for(20s);
    });
    CHECK(row(half) == "idle abort aborted open");
    const auto stuck =
        end_idle(peer_script().read(0, 0ms).await_fin(), [](stream& with) -> task<void> {
            const std::string much(1'000'000, 'x');
            (void)co_await with.send(bytes_of(much));
        });
    CHECK(row(stuck) == "idle abort aborted open");
    CHECK(stuck.report.unsent_bytes > 0);
}

TEST_CASE("idle time: half of what is pushed is reset, though something receives beside it") {
    const auto half = end_idle(peer_script().await_fin(), [](stream& with) -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(wait_for_request(with));
            (void)co_await with.send(bytes_of("first part"));
            (void)co_await sleep_for(20s); // the backend
        });
    });
    CHECK(row(half) == "idle abort aborted open");
}

TEST_CASE("idle time: counts from when a byte that had waited is received, and no longer") {
    const auto received =
        end_idle(peer_script().write("x").await_fin(), [](stream& with) -> task<void> {
            (void)co_await sleep_for(95ms); // the byte waits in the kernel
            co_await wait_for_request(with);
            (void)co_await sleep_for(20s);
        });
    check_after(received, 95ms);
    const auto waited =
        end_idle(peer_script().write("x").await_fin(), [](stream& with) -> task<void> {
            (void)co_await sleep_for(95ms);
            co_await wait_for_request(with);
            co_await wait_for_request(with); // in vain
        });
    check_after(waited, 95ms);
}

TEST_CASE("idle time: half a request is reset, a connection marked idle is finished") {
    for (const bool marked : {false, true}) {
        CAPTURE(marked);
        const auto ended = end_idle(peer_script().pause(50ms).write("GET").await_fin().finish(),
                                    [marked](stream& with) { // outlives the task
                                        return [](stream& over, bool idle) -> task<void> {
                                            co_await wait_for_request(over);
                                            over.mark_idle(idle);
                                            co_await wait_for_request(over);
                                        }(with, marked);
                                    });
        CHECK(row(ended) ==
              (marked ? "idle graceful graceful finished" : "idle abort aborted open"));
        check_after(ended, 50ms);
    }
}

TEST_CASE("idle time: bytes that arrive while the handler does not receive count") {
    const auto unread = end_idle(peer_script().write("a").pause(100ms).write("b").await_fin(),
                                 [](stream& with) -> task<void> {
                                     co_await wait_for_request(with);
                                     co_await sleep_for(20s);
                                 });
    CHECK(row(unread) == "idle abort aborted open");
    CHECK(unread.report.received_bytes == 1);
    check_after(unread, 100ms);
}

TEST_CASE("idle time: a connection that is marked, and whose request nobody reads, is reset") {
    const auto unread = end_idle(peer_script().pause(155ms).write("request").await_fin(),
                                 [](stream& with) -> task<void> {
                                     with.mark_idle();
                                     co_await sleep_for(20s);
                                 });
    CHECK(row(unread) == "idle abort aborted open");
    check_after(unread, 155ms);
}

TEST_CASE("idle time: does not run while requests are in progress") {
    const auto served = end_idle(peer_script().write("request").await_fin().finish(),
                                 [](stream& with) -> task<void> {
                                     co_await wait_for_request(with);
                                     tell_requests(state_of(with), true);
                                     co_await sleep_for(700ms);
                                     tell_requests(state_of(with), false);
                                     with.mark_idle();
                                     co_await wait_for_request(with);
                                 });
    CHECK(row(served) == "idle graceful graceful finished");
    CHECK(served.after >= 700ms - between_looks + idle_time);
    CHECK(served.after <= 700ms + idle_time + network);
}
