#include "server_rig.hpp"

#include <atomic>
#include <unistd.h>

using namespace ringdown;
using namespace ringdown::testing;

namespace {

std::shared_ptr<listening_socket> any_port() {
    return std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"));
}

// Clients that come one after the other, each with one request, until told to stop.
struct stream_of_clients {
    const address to;
    std::atomic<bool> stop = false;
    int served = 0;
    int failed = 0;

    void operator()() {
        while (!stop) {
            peer one = connect_peer(to);
            one.write("request");
            one.finish();
            const std::string answer = one.read();
            if (answer == "request" && one.read().empty() && one.last_error() == 0)
                ++served;
            else
                ++failed;
        }
    }
};

} // namespace

TEST_CASE("hand over: of two servers on one listening socket one is drained, nobody is lost") {
    run([](rig& at) -> task<void> {
        auto socket = any_port();
        server_rig first(at, echo, {}, socket);
        server_rig second(at, echo, {}, socket);
        stream_of_clients clients{.to = first.serving.local()};
        socket.reset();
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(first.run());
            in.spawn(second.run());
            peer_script script(at.on, [&] { clients(); });
            co_await sleep_for(60ms);
            const drain_report drained = co_await first.serving.drain({.within = 2s});
            check_drained(first, drained);
            CHECK(drained.stragglers.empty());
            const auto before = second.serving.accepts();
            co_await sleep_for(60ms);
            CHECK(second.serving.accepts() > before);
            CHECK(second.serving.ready());
            clients.stop = true;
            co_await script.done();
            check_drained(second, co_await second.serving.drain({.within = 2s}));
        });
        CHECK(clients.failed == 0);
        CHECK(static_cast<std::uint64_t>(clients.served) ==
              first.serving.accepts() + second.serving.accepts());
        CHECK(first.serving.accepts() > 0);
        at.check_resets(0);
    });
}

TEST_CASE("hand over: to whoever else holds the descriptor, by asking for it") {
    run([](rig& at) -> task<void> {
        auto socket = any_port();
        auto theirs = std::make_shared<listening_socket>(::dup(socket->descriptor()));
        server_rig old(at, echo, {}, std::move(socket));
        stream_of_clients clients{.to = old.serving.local()};
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(old.run());
            peer_script script(at.on, [&] { clients(); });
            co_await sleep_for(40ms);
            check_drained(old, co_await old.serving.drain({.within = 2s, .hand_over = true}));
            co_await sleep_for(20ms); // who comes now waits in the queue
            server_rig next(at, echo, {}, std::move(theirs));
            co_await with_scope([&](scope& inner) -> task<void> {
                inner.spawn(next.run());
                co_await sleep_for(40ms);
                clients.stop = true;
                co_await script.done();
                check_drained(next, co_await next.serving.drain({.within = 2s}));
            });
            CHECK(next.serving.accepts() > 0);
            CHECK(static_cast<std::uint64_t>(clients.served) ==
                  old.serving.accepts() + next.serving.accepts());
        });
        CHECK(clients.failed == 0);
        at.check_resets(0);
    });
}

TEST_CASE("several servers on one loop are drained one by one") {
    run([](rig& at) -> task<void> {
        server_rig admin(at, echo);
        server_rig traffic(at, echo);
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(admin.run());
            in.spawn(traffic.run());
            auto operator_ = co_await admin.idle_client();
            auto client = co_await traffic.idle_client();
            std::optional<drain_report> report;
            co_await with_scope([&](scope& inner) -> task<void> {
                inner.spawn(drain_into(traffic.serving, {}, report));
                co_await sees_fin(at, client);
                client.close();
            });
            check_drained(traffic, *report);
            CHECK(report->accepts == 1);
            CHECK(traffic.has_run());
            CHECK(admin.serving.ready());
            co_await round_trip(at, operator_, "still served");
            CHECK(admin.reports().empty());
            operator_.finish();
            check_drained(admin, co_await admin.serving.drain());
        });
    });
}
