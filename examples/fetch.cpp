// The client side: sends N bytes and FIN, reads to the end, prints what came and its report.
#include <cstdio>
#include <vector>

#include <ringdown/net/connect.hpp>
#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/shutdown/close.hpp>

#include "support/pattern.hpp"
#include "support/report_json.hpp"
#include "support/serve.hpp"

using namespace ringdown;

namespace {

task<void> send_request(stream& server, std::span<const std::byte> bytes) {
    const auto sent = co_await server.send_last(bytes);
    if (!sent)
        std::fprintf(stderr, "fetch: %zu of %zu bytes sent: %s\n", sent.bytes, bytes.size(),
                     sent.error.message().c_str());
}

task<result<lease>> receive(stream& server) { co_return co_await server.recv_lease(); }

task<int> fetch(loop& on, address from, std::span<const std::byte> request, ending_request ending) {
    connect_options options;
    options.deadline = on.now() + ending.policy.within;
    auto connected = co_await connect(on, from, options);
    if (!connected) {
        std::fprintf(stderr, "fetch: cannot connect to %s: %s\n", from.text().c_str(),
                     connected.error().message().c_str());
        co_return 1;
    }
    stream server = std::move(*connected);
    ledger(on).on_report([](const teardown_report& report) {
        std::printf("%s\n", examples::to_json(report).dump().c_str());
    });

    bool whole = false;
    co_await with_scope(on, [&](scope& inside) -> task<void> {
        inside.spawn(send_request(server, request));
        std::error_code end;
        while (!end) {
            auto receiving = receive(server);
            const auto bytes =
                co_await with_deadline(on, on.now() + ending.policy.idle, std::move(receiving));
            if (!bytes) end = bytes.error();
        }
        if (end == errc::deadline_passed) ending.cause = teardown_cause::idle;
        whole = end == errc::end_of_stream;
        std::printf("received %llu bytes, then %s\n",
                    static_cast<unsigned long long>(server.bytes().received),
                    end.message().c_str());
        co_await examples::end_as_asked(server, ending);
    });
    auto closed = ended(server.connection_of());
    co_await closed;
    co_return whole ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app("Sends N bytes and FIN, reads to the end, prints what came and its report.",
                 "fetch");
    address from;
    std::uint64_t send_bytes = 0;
    ending_request ending;
    examples::add_address(app, "ADDR", from, "the server")->required();
    examples::add_size(app, "--send", send_bytes, "how many bytes to send; byte i is i mod 251");
    examples::add_ending_options(app, ending);
    return examples::run_program(app, argc, argv, [&] {
        const auto request = examples::pattern("--send", send_bytes);
        loop on;
        return on.run(fetch(on, from, request, ending));
    });
}
