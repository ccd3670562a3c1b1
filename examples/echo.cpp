// Sends back what it receives, and ends each connection after its peer has.
#include <array>
#include <span>

#include "support/serve.hpp"

using namespace ringdown;

namespace {

task<void> echo(stream peer, const ending_request& ending) {
    // A buffer of its own: a client that never reads holds none of the loop's while we send.
    std::array<std::byte, 4096> buffer;
    for (;;) {
        peer.mark_idle(); // a server that drains may end it here
        const auto bytes = co_await peer.recv(buffer);
        if (!bytes) break;
        const auto sent = co_await peer.send(std::span(buffer).first(*bytes));
        if (!sent) break;
    }
    co_await examples::end_as_asked(peer, ending);
}

} // namespace

int main(int argc, char** argv) {
    command_line::program app("Sends back what it receives.", "echo");
    examples::serving_options options;
    examples::add_serving_options(app, options);
    return examples::run_program(app, argc, argv, [&] {
        return examples::serve(options,
                               [&](stream peer) { return echo(std::move(peer), options.ending); });
    });
}
