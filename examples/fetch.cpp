// The client side: sends N bytes and FIN, reads to the end, prints what came and its report.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>
#include <vector>

#include <ringdown/net/connect.hpp>
#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/shutdown/ending/close.hpp>
#include <ringdown/shutdown/ending/delivery_sample.hpp>

#include "support/pattern.hpp"
#include "support/report_json.hpp"
#include "support/serve.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

task<void> send_request(stream& server, std::span<const std::byte> bytes) {
    const auto sent = co_await server.send_last(bytes);
    if (!sent)
        std::fprintf(stderr, "fetch: %zu of %zu bytes sent: %s\n", sent.bytes, bytes.size(),
                     sent.error.message().c_str());
}

// When the server last let anything through, in either direction.
class progress {
public:
    explicit progress(stream& watched) : watched_(watched), time_(watched.on().now()) { look(); }

    void look() {
        const auto now = watched_.on().now();
        const delivery_sample sample = take_sample(watched_);
        const bool counted = watched_.traits().counts_acknowledgements;
        // Else what was accepted less what waits there changes with every byte written or read.
        const auto sent = counted ? sample.acknowledged : watched_.bytes().sent - sample.queued;
        if (std::exchange(received_, watched_.bytes().received) != watched_.bytes().received)
            time_ = now;
        else if (std::exchange(sent_, sent) != sent)
            // It may have come some time before this look, and is that old.
            time_ = std::max(time_, now - std::chrono::milliseconds(
                                              counted ? sample.acknowledgement_age_ms : 0));
        sent_ = sent;
    }
    [[nodiscard]] loop::time_point at() const noexcept { return time_; }

private:
    stream& watched_;
    loop::time_point time_;
    std::uint64_t received_ = 0;
    std::uint64_t sent_ = 0;
};

// Acknowledgements have no event, so they are looked for several times within the idle time; zero:
// there is none.
task<result<lease>> receive_until_idle(stream& server, progress& seen,
                                       std::chrono::nanoseconds idle) {
    if (idle == 0ns) co_return co_await server.recv_lease();
    loop& loop = server.on();
    const auto look_after = std::max<std::chrono::nanoseconds>(idle / 16, 1ms);
    for (;;) {
        const auto until = std::min(loop.now() + look_after, seen.at() + idle);
        auto bytes = co_await with_deadline(until, server.recv_lease());
        const bool silent = !bytes && bytes.error() == errc::deadline_passed;
        seen.look();
        if (!silent || loop.now() - seen.at() >= idle) co_return bytes;
    }
}

// Answers why no more comes; `errc::deadline_passed` when the server was idle for too long.
task<std::error_code> receive_all(stream& server, std::chrono::nanoseconds idle) {
    progress seen(server);
    for (;;) {
        const auto bytes = co_await receive_until_idle(server, seen, idle);
        if (!bytes) co_return bytes.error();
    }
}

task<int> fetch(loop& loop, address source, std::span<const std::byte> request,
                ending_request ending) {
    connect_options options;
    options.deadline = loop.now() + ending.policy.within;
    auto connected = co_await connect(loop, source, options);
    if (!connected) {
        std::fprintf(stderr, "fetch: cannot connect to %s: %s\n", source.text().c_str(),
                     connected.error().message().c_str());
        co_return 1;
    }
    stream server = std::move(*connected);
    ledger(loop).on_report([](const teardown_report& report) {
        std::printf("%s\n", examples::to_json(report).dump().c_str());
    });

    bool whole = false;
    co_await with_scope([&](scope& inside) -> task<void> {
        inside.spawn(send_request(server, request));
        const std::error_code end = co_await receive_all(server, ending.policy.idle);
        const bool idle = end == errc::deadline_passed;
        if (idle) ending.cause = teardown_cause::idle;
        whole = end == errc::end_of_stream;
        std::printf("received %llu bytes, then %s\n",
                    static_cast<unsigned long long>(server.bytes().received),
                    idle ? "the server was idle for too long" : end.message().c_str());
        co_await examples::end_as_asked(server, ending);
    });
    auto closed = ended(server);
    co_await closed;
    co_return whole ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    command_line::program app(
        "Sends N bytes and FIN, reads to the end, prints what came and its report.", "fetch");
    address source;
    std::uint64_t send_bytes = 0;
    ending_request ending;
    examples::add_address(app, "ADDR", source, "the server").required();
    examples::add_size(app, "--send", send_bytes, "how many bytes to send; byte i is i mod 251");
    examples::add_ending_options(app, ending);
    return examples::run_program(app, argc, argv, [&] {
        const auto request = examples::pattern("--send", send_bytes);
        loop loop;
        return loop.run(fetch(loop, source, request, ending));
    });
}
