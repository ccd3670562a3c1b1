// Ringdown as its guide shows it: a server, a coroutine for each connection, and the endings.
#include <array>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>

#include <ringdown/ringdown.hpp>

#include "support.hpp"

using namespace ringdown;
using servers::request_bytes;

namespace {

using namespace std::chrono_literals;

// Peers that never finish are reset in time; what they upload meanwhile is dropped, however much.
const ending_policy patience{.within = 1s,
                             .deadline = {},
                             .idle = 1s,
                             .discard_bytes_max = std::numeric_limits<std::uint64_t>::max() / 2};

task<void> echo(stream peer) {
    for (;;) {
        peer.mark_idle();
        const auto data = co_await peer.recv_lease();
        if (!data) break;
        const auto sent = co_await peer.send(*data);
        if (!sent) break;
    }
    co_await graceful_close(peer, patience);
}

using request = std::array<std::byte, request_bytes>;

task<bool> receive(stream& peer, std::span<std::byte> room) {
    while (!room.empty()) {
        const auto bytes = co_await peer.recv(room);
        if (!bytes) co_return false;
        room = room.subspan(*bytes);
    }
    co_return true;
}

task<void> answer_and_finish(stream peer) {
    request asked;
    const bool whole = co_await receive(peer, asked);
    if (whole) {
        const auto sent = co_await peer.send_last(asked);
        if (!sent) co_return;
    }
    co_await graceful_close(peer, patience);
}

task<void> answer_and_wait(stream peer) {
    request asked;
    const bool whole = co_await receive(peer, asked);
    if (whole) {
        const auto sent = co_await peer.send(asked);
        if (!sent) co_return;
        (void)co_await peer.recv(asked); // its end
    }
    co_await graceful_close(peer, patience);
}

task<void> answer_and_abort(stream peer) {
    request asked;
    const bool whole = co_await receive(peer, asked);
    if (whole) {
        const auto sent = co_await peer.send(asked);
        if (!sent) co_return;
    }
    co_await abort_close(peer);
}

task<void> send_flood(stream& peer) {
    const std::span flood(servers::flood(), servers::flood_bytes);
    (void)co_await peer.send(std::as_bytes(flood));
}

task<void> receive_more(stream& peer) {
    request more;
    (void)co_await peer.recv(more);
}

// Told to stop, it resets with a send and a receive under way.
task<void> flood_until_told(stream peer) {
    co_await with_scope([&](scope& inside) -> task<void> {
        request asked;
        const bool whole = co_await receive(peer, asked);
        if (!whole) co_return;
        inside.spawn(send_flood(peer));
        const bool told = co_await receive(peer, asked);
        if (!told) co_return;
        inside.spawn(receive_more(peer));
        co_await abort_close(peer);
    });
}

server::handler handler_of(servers::workload what) {
    switch (what) {
    case servers::workload::echo:
    case servers::workload::drain:
        return echo;
    case servers::workload::churn_server_first:
    case servers::workload::discard:
        return answer_and_finish;
    case servers::workload::churn_client_first:
        return answer_and_wait;
    case servers::workload::cancel:
        return flood_until_told;
    case servers::workload::churn_abort:
        break;
    }
    return answer_and_abort;
}

task<void> drain_when_told(server& ended, signals& told, bool drains) {
    const auto signal = co_await told.next();
    if (!signal) co_return;
    if (!drains) std::_Exit(0);
    co_await ended.drain({.deadline = {}, .notice_for = 0s}); // an echo cannot announce its end
}

} // namespace

int main(int argc, char** argv) {
    const auto given = servers::read_order(argc, argv);
    const auto where = address::parse("127.0.0.1:" + std::to_string(given.port));
    // A small send buffer is for `cancel` alone.
    auto listens = given.what == servers::workload::cancel
                       ? std::make_shared<listening_socket>(servers::listen_on(given, 0))
                       : std::make_shared<listening_socket>(*where);
    loop loop;
    signals told({SIGTERM, SIGINT});
    server only(loop, std::move(listens), handler_of(given.what));
    loop.run(when_all(only.run(), drain_when_told(only, told, servers::drains(given.what))));
}
