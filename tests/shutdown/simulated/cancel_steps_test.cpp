#include "sim_rig.hpp"

#include <array>

#include <ringdown/runtime/noop.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// Everything that takes several steps, cancelled at each of them: it ends at once, although its
// peer does nothing any more. (A zero-copy send does not: the kernel holds its buffer until the
// peer has acknowledged it.)

namespace {

struct operation_under_test {
    const char* name;
    task<void> (*begin)(stream&);
};

const std::vector<std::byte> large(300'000);

task<void> receive(stream& ours) {
    std::array<std::byte, 4> into;
    for (;;) {
        const auto got = co_await ours.recv(into);
        if (!got) co_return;
    }
}

task<void> receive_leases(stream& ours) {
    for (;;) {
        const auto got = co_await ours.recv_lease();
        if (!got) co_return;
    }
}

task<void> send(stream& ours) { static_cast<void>(co_await ours.send(large)); }
task<void> send_last(stream& ours) { static_cast<void>(co_await ours.send_last(large)); }

task<void> send_parts(stream& ours) {
    const iovec half{const_cast<std::byte*>(large.data()), large.size() / 2};
    const std::array<iovec, 2> parts{half, half};
    static_cast<void>(co_await ours.send_vectored(parts));
}

task<void> send_behind(stream& ours) { co_await when_all(send(ours), send_last(ours)); }

task<void> finish_behind(stream& ours) {
    auto finish = [](stream& which) -> task<void> { co_await which.shutdown_send(); };
    co_await when_all(send(ours), finish(ours));
}

task<void> watch_closed(stream& ours) { co_await peer_closed(ours); }
task<void> watch_ended(stream& ours) { co_await peer_ended(ours); }

task<void> wait_for_delivery(stream& ours) {
    const auto sent = co_await ours.send(std::span(large).first(50'000));
    if (sent) co_await delivered(ours);
}

task<void> watch_session(stream& ours) {
    session talk(std::move(ours), session_role::server);
    co_await talk.watch_peer();
    talk.abort();
    co_await talk.join();
    ours = stream();
    co_await noop();
}

task<void> close_gracefully(stream& ours) { co_await graceful_close(ours, {.within = 1h}); }

constexpr std::array all{
    operation_under_test{"recv", receive},
    operation_under_test{"recv_lease", receive_leases},
    operation_under_test{"send", send},
    operation_under_test{"send_last", send_last},
    operation_under_test{"send_vectored", send_parts},
    operation_under_test{"send behind another", send_behind},
    operation_under_test{"shutdown_send", finish_behind},
    operation_under_test{"peer_closed", watch_closed},
    operation_under_test{"peer_ended", watch_ended},
    operation_under_test{"watch_peer", watch_session},
    operation_under_test{"delivered", wait_for_delivery},
    operation_under_test{"graceful_close", close_gracefully},
};

// Which resets at last, so that a wait whose cancellation was lost can be seen to have lasted.
peer_script peer_of(std::uint64_t seed) {
    peer_script peer;
    peer.latency = std::chrono::microseconds(1 + seed % 7);
    peer.read_bytes = seed % 3 == 0 ? 0 : 4'096;
    peer.pause(std::chrono::microseconds(seed % 23));
    if (seed % 4 != 0) peer.write("unread");
    if (seed % 5 != 0) peer.finish();
    return peer.pause(100s).reset();
}

std::chrono::nanoseconds until_canceled(const operation_under_test& which, std::uint64_t seed,
                                        bool by_deadline) {
    sim_rig at({.seed = seed});
    std::chrono::nanoseconds took{};
    at.run([&]() -> task<void> {
        stream ours = at.connect(peer_of(seed));
        const auto step = seed % 40;
        const auto begun = at.loop.now();
        if (by_deadline) {
            const auto deadline = begun + std::chrono::microseconds(step);
            co_await with_deadline(deadline, which.begin(ours));
        } else {
            auto body = [&](scope& inside) -> task<void> {
                inside.spawn(which.begin(ours));
                for (auto left = step / 4; left > 0; --left)
                    co_await noop();
                inside.cancel();
            };
            co_await with_scope(body);
        }
        took = at.loop.now() - begun;
        if (ours) co_await abort_close(ours);
    });
    CHECK(at.reports.size() == 1);
    return took;
}

} // namespace

TEST_CASE("cancellation: at whichever step it comes, the wait ends") {
    for (const operation_under_test& which : all) {
        for (const bool by_deadline : {true, false}) {
            for (std::uint64_t seed = 1; seed <= 400; ++seed) {
                CAPTURE(std::string(which.name));
                CAPTURE(by_deadline);
                CAPTURE(seed);
                const auto took = until_canceled(which, seed, by_deadline);
                REQUIRE(took < 1s);
            }
        }
    }
}

TEST_CASE("cancellation: an end that the poll has told of is told in spite of it") {
    sim_rig at;
    at.run([&]() -> task<void> {
        stream ours = at.connect(peer_script().finish().pause(100s));
        co_await sleep_for(1ms);
        std::optional<result<peer_end>> end;
        auto body = [&](scope& inside) -> task<void> {
            inside.spawn([](stream& which, std::optional<result<peer_end>>& into) -> task<void> {
                into = co_await peer_ended(which);
            }(ours, end));
            inside.cancel(); // behind the poll, with the same submission
            co_return;
        };
        co_await with_scope(body);
        REQUIRE(end.has_value());
        CHECK(*end == peer_end::finished);
        co_await abort_close(ours);
    });
}
