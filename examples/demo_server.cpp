// The server of the demo. A request is one line: `echo` sends back what follows until the client's
// FIN; `answer N` sends N bytes and ends first, while the client may still be talking.
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include <ringdown/runtime/scope.hpp>

#include "support/serve.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t answer_bytes_max = 64 << 20;
constexpr std::size_t request_bytes_max = 64;

// The answer of any length is the beginning of this.
const std::vector<std::byte>& answer() {
    static const std::vector<std::byte> bytes = [] {
        std::vector<std::byte> made(answer_bytes_max);
        for (std::size_t i = 0; i < made.size(); ++i)
            made[i] = static_cast<std::byte>(i % 251);
        return made;
    }();
    return bytes;
}

// Reads byte by byte what is short, so that nothing behind the line is taken.
task<std::optional<std::string>> read_line(stream& peer) {
    std::string line;
    while (line.size() < request_bytes_max) {
        std::byte next;
        const auto received = co_await peer.recv(std::span(&next, 1));
        if (!received) co_return std::nullopt;
        if (next == std::byte{'\n'}) co_return line;
        line.push_back(static_cast<char>(next));
    }
    co_return std::nullopt;
}

task<void> echo(stream& peer) {
    for (;;) {
        const auto bytes = co_await peer.recv_lease();
        if (!bytes) co_return;
        const auto sent = co_await peer.send(bytes->data());
        if (!sent) co_return;
    }
}

task<void> hand_over(stream& peer, std::size_t size) {
    // What was not accepted of it, the report tells.
    (void)co_await peer.send_last(std::span(answer()).first(size));
}

task<void> serve_one(stream peer, const ending_request& ending) {
    const auto request = co_await read_line(peer);
    std::size_t size = 0;
    if (request == "echo") {
        co_await echo(peer);
    } else if (request && request->starts_with("answer ")) {
        std::from_chars(request->data() + 7, request->data() + request->size(), size);
    }
    co_await with_scope([&](scope& inside) -> task<void> {
        if (size > 0) inside.spawn(hand_over(peer, std::min(size, answer_bytes_max)));
        co_await examples::end_as_asked(peer, ending);
    });
}

} // namespace

int main(int argc, char** argv) {
    command_line::program app("The server of the demo.", "demo-server");
    examples::serving_options options;
    examples::add_serving_options(app, options);
    options.ending.policy = {
        .within = 1500ms, .deadline = {}, .idle = 700ms, .discard_bytes_max = 1 << 20};
    return examples::run_program(app, argc, argv, [&] {
        answer();
        return examples::serve(
            options, [&](stream peer) { return serve_one(std::move(peer), options.ending); });
    });
}
