#include "sim_rig.hpp"

#include <cerrno>
#include <memory>

using namespace ringdown;
using namespace ringdown::testing;

// Accepts that fail, and those that bring somebody when nobody asks for him any more.

namespace {

peer_script silent() { return peer_script().await_fin().finish(); }

std::shared_ptr<listening_socket> listening(sim_kernel& kernel) {
    kernel.disturb();
    return std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"), listen_options{},
                                              kernel);
}

task<void> accept_one(listener& from, bool& got) {
    auto next = co_await from.accept();
    got = next.has_value();
    if (next) co_await abort_close(*next);
}

task<void> end_gracefully(stream with) { co_await graceful_close(with); }

} // namespace

TEST_CASE(
    "listener: who waits in the queue of one that stops is accepted, however many there are") {
    for (const bool multishot : {false, true}) {
        CAPTURE(multishot);
        sim_options options{.disturbed = false};
        if (!multishot) options.missing.add(capability::multishot_accept);
        sim_rig at(options);
        at.run([&]() -> task<void> {
            auto socket = listening(at.kernel);
            for (int left = 300; left > 0; --left)
                at.kernel.connect_peer(socket->descriptor(), silent());
            listener from(at.loop, socket);
            const auto stopped = co_await from.stop();
            CHECK(stopped.has_value());
            CHECK(from.accepted() == 300);
            while (auto next = from.next_accepted())
                co_await abort_close(*next);
        });
        CHECK(at.reports.size() == 300);
    }
}

TEST_CASE("listener: a connection that has gone before it is accepted keeps nobody else waiting") {
    for (const int error : {ECONNABORTED, EINTR, EPROTO, ECONNRESET, ENETDOWN, ENOPROTOOPT,
                            EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT}) {
        CAPTURE(error);
        sim_rig at;
        at.run([&]() -> task<void> {
            auto socket = listening(at.kernel);
            at.kernel.fail_accepts(error, 1, true);
            at.kernel.connect_peer(socket->descriptor(), silent());
            at.kernel.connect_peer(socket->descriptor(), silent());
            listener from(at.loop, socket);
            auto next = co_await from.accept();
            REQUIRE(next.has_value());
            CHECK(from.accepted() == 1);
            co_await abort_close(*next);
        });
    }
}

TEST_CASE("listener: whom an accept brings after it was destroyed is reset, in any order") {
    std::size_t orphans = 0;
    for (std::uint64_t seed = 1; seed <= 1'000; ++seed) {
        CAPTURE(seed);
        sim_kernel kernel({.seed = seed});
        bool accepted = false;
        {
            loop on({.calls = &kernel});
            on.run([](loop& here, sim_kernel& world, std::uint64_t dice, bool& got) -> task<void> {
                auto socket = listening(world);
                const int fd = socket->descriptor();
                world.after(std::chrono::microseconds(20 + dice % 20),
                            [&world, fd] { world.connect_peer(fd, silent()); });
                {
                    listener from(here, std::move(socket));
                    const auto until = here.now() + std::chrono::microseconds(20 + dice / 20 % 20);
                    co_await with_deadline(until, accept_one(from, got));
                }
                co_await sleep_for(1ms);
            }(on, kernel, seed, accepted));
            CHECK(on.operations_in_flight() == 0);
        }
        REQUIRE(kernel.open_descriptors() == 0);
        CHECK(kernel.violations().empty());
        if (kernel.connections() == 0) continue; // nobody has taken him
        CHECK(kernel.truth(0).closed);
        CHECK(kernel.truth(0).reset_sent);
        orphans += !accepted;
    }
    CHECK(orphans > 0);
}

TEST_CASE(
    "server: where descriptors ran out it accepts again soon, though none of its own closes") {
    sim_rig at;
    at.run([&]() -> task<void> {
        auto socket = listening(at.kernel);
        at.kernel.fail_accepts(EMFILE, 2);
        at.kernel.connect_peer(socket->descriptor(), silent());
        std::size_t paused = 0;
        server_options options;
        options.on_accept_paused = [&paused](std::error_code) { ++paused; };
        server serving(at.loop, std::move(socket), end_gracefully, options);
        auto body = [&](scope& inside) -> task<void> {
            inside.spawn([](server& run) -> task<void> { co_await run.run(); }(serving));
            co_await sleep_for(1s);
            CHECK(at.reports.size() == 1);
            co_await serving.drain();
        };
        co_await with_scope(body);
        CHECK(paused == 1);
    });
}

TEST_CASE("server: one whose run is cancelled reports whomever it has accepted, in any order") {
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
        CAPTURE(seed);
        sim_rig at({.seed = seed});
        at.run([&]() -> task<void> {
            auto socket = listening(at.kernel);
            const int fd = socket->descriptor();
            for (std::uint64_t i = 0; i < 6; ++i)
                at.kernel.after(std::chrono::microseconds(20 + seed * (i + 1) % 30),
                                [&at, fd] { at.kernel.connect_peer(fd, silent()); });
            server_options options;
            options.connections_max = seed % 3;
            server serving(at.loop, std::move(socket), end_gracefully, options);
            const auto until = at.loop.now() + std::chrono::microseconds(20 + seed % 40);
            co_await with_deadline(until, serving.run());
            const server_summary then = serving.summary();
            REQUIRE(then.accepts == then.reports);
        });
    }
}
