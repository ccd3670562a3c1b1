// A server and a client on one loop; both connections must end gracefully, and be reported so.
#include <chrono>
#include <cstdio>
#include <memory>
#include <string_view>

#include <ringdown/ringdown.hpp>

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

bool ended_well(const teardown_report& report) {
    return report.ending == actual_ending::graceful &&
           report.delivery == delivery_verdict::acknowledged;
}

task<void> echo(stream peer) {
    for (;;) {
        const auto bytes = co_await peer.recv_lease();
        if (!bytes) break;
        const auto sent = co_await peer.send(bytes->data());
        if (!sent) break;
    }
    co_await graceful_close(peer, {.within = 10s});
}

// Sends a text and FIN, and wants it back whole.
task<bool> ask(loop& on, address where, std::string_view text) {
    auto connected = co_await connect(on, where, {.deadline = on.now() + 10s});
    if (!connected) co_return false;
    stream to = std::move(*connected);
    const auto sent = co_await to.send_last(bytes_of(text));
    if (!sent) co_return false;
    std::size_t received = 0;
    std::error_code end;
    while (!end) {
        const auto bytes = co_await to.recv_lease();
        if (bytes)
            received += bytes->size();
        else
            end = bytes.error();
    }
    const teardown_report& report = co_await graceful_close(to, {.within = 10s, .idle = 2s});
    co_return end == errc::end_of_stream&& received == text.size() && ended_well(report);
}

task<bool> ask_and_drain(loop& on, server& asked) {
    const bool whole = co_await ask(on, asked.local(), "what goes out comes back");
    const drain_report drained = co_await asked.drain({.within = 10s});
    co_return whole&& drained.accepts == 1 && drained.reports == 1 && drained.stragglers.empty();
}

task<bool> serve_and_ask(loop& on) {
    address any;
    if (const auto parsed = address::parse("127.0.0.1:0")) any = *parsed;
    bool reported = false;
    server_options options{.idle = 10s, .when_idle = {.requested = plans::abort}};
    options.on_report = [&](const teardown_report& report) { reported = ended_well(report); };
    server echoing(on, std::make_shared<listening_socket>(any), echo, std::move(options));
    const auto answers = co_await when_all(echoing.run(), ask_and_drain(on, echoing));
    co_return std::get<0>(answers).has_value() && std::get<1>(answers) && reported;
}

} // namespace

int main() {
    loop on({.fin = fin_method::system_call});
    const bool well = on.run(serve_and_ask(on));
    std::puts(well ? "embed: both connections ended gracefully" : "embed: something went wrong");
    return well ? 0 : 1;
}
