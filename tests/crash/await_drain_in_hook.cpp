#include "crash.hpp"

using namespace ringdown;

int main() {
    must_stop_with(
        "a server's handler or hook awaited the drain that waits for it; spawn it on the loop");
    loop on;
    server* ended = nullptr;
    server_options options;
    // Asks for a second drain, to escalate, and waits for the answer of the first.
    options.on_phase = [&](server_phase) -> task<void> { co_await ended->drain(); };
    server serving(
        on, std::make_shared<listening_socket>(*address::parse("127.0.0.1:0")),
        [](stream) -> task<void> { co_return; }, options);
    ended = &serving;
    on.run([](server& of) -> task<void> {
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(of.run());
            (void)co_await of.drain();
        });
    }(serving));
}
