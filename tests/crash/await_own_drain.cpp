#include "crash.hpp"

using namespace ringdown;

namespace {

// A handler that ends its server and waits for that, which waits for the handler.
task<void> connect_and_wait(loop& on, const address& where) {
    auto client = co_await connect(on, where);
    std::byte into[1];
    if (client) (void)co_await client->recv(into);
}

} // namespace

int main() {
    must_stop_with(
        "a server's handler or hook awaited the drain that waits for it; spawn it on the loop");
    loop on;
    server* ended = nullptr;
    server serving(on, std::make_shared<listening_socket>(*address::parse("127.0.0.1:0")),
                   [&](stream client) -> task<void> {
                       const stream kept = std::move(client);
                       co_await with_scope([&](scope& in) -> task<void> {
                           in.spawn(ended->drain());
                           co_return;
                       });
                   });
    ended = &serving;
    on.run([](loop& in, server& of) -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(of.run());
            co_await connect_and_wait(in, of.local());
        });
    }(on, serving));
}
