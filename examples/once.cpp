// Hands every client the same bytes and asks for the ending in the same breath: the ending's
// deadline covers the flush.
#include <vector>

#include <ringdown/runtime/scope.hpp>

#include "support/pattern.hpp"
#include "support/serve.hpp"

using namespace ringdown;

namespace {

task<void> hand_over(stream& peer, std::span<const std::byte> bytes) {
    // What the kernel did not accept of it, the report tells.
    (void)co_await peer.send(bytes);
}

task<void> give_once(stream peer, std::span<const std::byte> bytes, const ending_request& ending) {
    co_await with_scope([&](scope& inside) -> task<void> {
        inside.spawn(hand_over(peer, bytes));
        co_await examples::end_as_asked(peer, ending);
    });
}

} // namespace

int main(int argc, char** argv) {
    command_line::program app("Gives every client N bytes and ends the connection.", "once");
    examples::serving_options options;
    std::uint64_t size = 0;
    examples::add_serving_options(app, options);
    examples::add_size(app, "--bytes", size, "how many bytes; byte i is i mod 251").required();
    return examples::run_program(app, argc, argv, [&] {
        const std::vector<std::byte> bytes = examples::pattern("--bytes", size);
        return examples::serve(options, [&](stream peer) {
            return give_once(std::move(peer), bytes, options.ending);
        });
    });
}
