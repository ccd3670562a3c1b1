#include <stdexcept>

#include "server_rig.hpp"
#include "support/fixture.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// What callbacks throw stops nothing: every connection is served and reported, the drain comes to
// its end, and `run` throws the first exception as it ends.

namespace {

task<void> answer(stream connection) {
    std::array<std::byte, 16> buffer;
    const auto got = co_await connection.recv(buffer);
    if (got && buffer[0] == std::byte{'t'}) throw std::runtime_error("a handler");
    co_await graceful_close(connection, {.within = 1s});
}

/// A server that is asked to throw by one client, to answer by the next, and then to drain.
class asked_server {
public:
    explicit asked_server(server_options options)
        : serving_(on, std::make_shared<listening_socket>(*address::parse("127.0.0.1:0")), answer,
                   std::move(options)) {}

    loop on; // before the server

    /// Answers what the loop's run has thrown; empty for nothing.
    std::string thrown_by_run() {
        try {
            on.run(body());
        } catch (const std::runtime_error& thrown) {
            return thrown.what();
        }
        return {};
    }
    void check_served(int thrower_error, std::uint64_t connections = 2) {
        CHECK(first_.error == thrower_error);
        CHECK(second_.finished);
        CHECK(drained_.accepts == connections);
        CHECK(drained_.reports == connections);
        CHECK(serving_.counters().reports == connections);
        CHECK(ledger(on).counters().reports == connections);
        CHECK(serving_.phase() == server_phase::drained);
        CHECK(ran_);
    }

private:
    task<peer_reading> ask(std::string_view request) {
        peer client = connect_peer(serving_.local());
        client.write(request);
        constexpr int established = 1;
        for (int i = 0; i < 2000 && client.tcp_state() == established; ++i)
            (void)co_await sleep_for(1ms);
        co_return client.read_to_end();
    }
    task<void> run_server() {
        const auto served = co_await serving_.run();
        ran_ = served.has_value();
    }
    task<void> body() {
        on.spawn(run_server());
        first_ = co_await ask("throw");
        second_ = co_await ask("answer");
        drained_ = co_await serving_.drain({.within = 2s});
        (void)co_await sleep_for(1ms);
    }

    server serving_;
    peer_reading first_;
    peer_reading second_;
    drain_report drained_;
    bool ran_ = false;
};

} // namespace

TEST_CASE("callbacks: reports are counted, and the drain ends, where those who get them throw") {
    int called = 0;
    server_options options;
    options.on_report = [&](const teardown_report&) {
        ++called;
        throw std::runtime_error("on_report");
    };
    asked_server asked(options);
    ledger(asked.on).on_report([&](const teardown_report&) {
        ++called;
        throw std::runtime_error("the ledger's");
    });
    CHECK(asked.thrown_by_run() == "the ledger's"); // which is told first
    asked.check_served(ECONNRESET);
    CHECK(called == 4);
    CHECK(asked.on.callback_failures() == 4);
}

TEST_CASE("callbacks: one that is told of a failure and throws itself harms nobody") {
    server_options options;
    options.on_handler_failed = [](std::exception_ptr why) { std::rethrow_exception(why); };
    asked_server asked(options);
    CHECK(asked.thrown_by_run() == "a handler");
    asked.check_served(ECONNRESET);
    CHECK(asked.on.callback_failures() == 1);
}

TEST_CASE("callbacks: a handler that throws is no callback") {
    asked_server asked({});
    CHECK(asked.thrown_by_run().empty());
    asked.check_served(ECONNRESET);
    CHECK(asked.on.callback_failures() == 0);
}

TEST_CASE("callbacks: what on_phase throws goes to on_hook_failed, or else to run") {
    for (const bool told : {false, true}) {
        int called = 0;
        server_options options;
        // No coroutine, so that it throws before there is a task.
        options.on_phase = [](server_phase entered) -> task<void> {
            throw std::runtime_error("on_phase " + std::string(name(entered)));
        };
        if (told)
            options.on_hook_failed = [&](server_phase, std::exception_ptr) {
                ++called;
                throw std::runtime_error("on_hook_failed");
            };
        asked_server asked(options);
        CHECK(asked.thrown_by_run() == (told ? "on_hook_failed" : "on_phase unready"));
        asked.check_served(ECONNRESET);
        CHECK(called == (told ? 5 : 0));
        CHECK(asked.on.callback_failures() == 5); // once a phase
    }
}

TEST_CASE("callbacks: what read_counters calls may throw") {
    asked_server asked({});
    read_counters(asked.on, [](const teardown_counters&) { throw std::runtime_error("got"); });
    CHECK(asked.thrown_by_run() == "got");
    asked.check_served(ECONNRESET);
}

TEST_CASE("callbacks: accepting goes on where on_accept_paused throws") {
    rig at({});
    int paused = 0;
    server_options options;
    options.on_accept_paused = [&](std::error_code why) {
        CHECK(why == std::errc::too_many_files_open);
        ++paused;
        throw std::runtime_error("on_accept_paused");
    };
    server_rig server(at, echo, options);
    const auto body = [&]() -> task<void> {
        peer client;
        {
            const descriptor_limit one(1); // the client's
            at.on.spawn(server.run());     // the limit of an accept is that of its beginning
            co_await sleep_for(5ms);
            client = server.connect();
            const bool told = co_await eventually(at, [&] { return paused > 0; });
            CHECK(told);
        }
        co_await round_trip(at, client, "request");
        client.finish();
        const bool reported = co_await eventually(at, [&] { return !server.reports().empty(); });
        CHECK(reported);
        const auto drained = co_await server.serving.drain({.within = 1s});
        check_drained(server, drained);
        CHECK(drained.accepts == 1);
        co_await sleep_for(1ms);
        CHECK(server.has_run());
    };
    CHECK_THROWS_WITH(at.on.run(body()), "on_accept_paused");
    CHECK(paused == 1);
}
