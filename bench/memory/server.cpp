#include "server.hpp"

#include <algorithm>
#include <memory>

#include <ringdown/ringdown.hpp>

#include "clients.hpp"

namespace bench {
namespace {

using namespace ringdown;
using namespace std::chrono_literals;

// Until the last resumption of a turn, and the kernel's work behind it, are over.
constexpr auto settles_within = 20ms;

class served {
public:
    /// As the guide shows it: nothing is pinned while it waits for a request.
    task<void> echo(stream peer) {
        for (;;) {
            peer.mark_idle();
            const auto data = co_await peer.recv_lease();
            if (!data) break;
            const auto sent = co_await peer.send(*data);
            if (!sent) break;
            if (++answers_ == expected_) answered_.set();
        }
        co_await graceful_close(peer);
    }

    task<void> answers(std::uint64_t expected) {
        expected_ = expected;
        if (answers_ < expected) answered_.reset();
        (void)co_await answered_.wait();
        (void)co_await sleep_for(settles_within);
    }

private:
    std::uint64_t answers_ = 0;
    std::uint64_t expected_ = 0;
    event answered_;
};

task<void> look(server& only, served& handlers, clients& others, measured& made,
                std::uint32_t connections) {
    const std::uint32_t first = connections - made.connections;
    others.connect(first);
    co_await handlers.answers(first);
    made.before = memory_use::now();
    others.connect(made.connections);
    co_await handlers.answers(connections);
    made.after = memory_use::now();
    co_await only.drain();
}

} // namespace

measured serve_and_look(std::uint32_t connections, std::chrono::nanoseconds idle) {
    const auto listener = std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"));
    clients others(listener->local().port());
    loop loop;
    served handlers;
    server_options options;
    options.idle = idle;
    server only(
        loop, listener, [&](stream peer) { return handlers.echo(std::move(peer)); }, options);

    measured made;
    // Enough first ones that the loop has used each of its buffers once.
    made.connections = connections - std::max(connections / 8, loop.options().buffers + 64);
    {
        const auto nobody = pool_blocks::now();
        const auto frame = handlers.echo(stream());
        made.handler_bytes = pool_blocks::now().since(nobody).only();
    }
    loop.run(when_all(only.run(), look(only, handlers, others, made, connections)));
    return made;
}

} // namespace bench
