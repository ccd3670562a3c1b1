// The same by Ringdown: a server whose connections have one deadline. Alone, stuck connections are
// ended each by its own `graceful_close`; a crowd with idle ones by a drain.
#include <memory>

#include <sys/socket.h>
#include <unistd.h>

#include <ringdown/ringdown.hpp>

#include "peers.hpp"

using namespace ringdown;

namespace bench {
namespace {

using namespace std::chrono_literals;

// What the handlers of one scene share.
struct crowd_state {
    explicit crowd_state(const scene& given) : crowd(given), flood(flood_bytes) {}

    const scene& crowd;
    std::vector<std::byte> flood;
    std::size_t served = 0;
    bool by_drain = crowd.silent + crowd.answering > 0;
    event asked{};
    ending_policy policy{};
};

task<void> send_flood(stream& peer, std::span<const std::byte> flood) {
    (void)co_await peer.send(flood);
}

// Asked to end while its answer is stuck.
task<void> answer_and_end(stream& peer, crowd_state& state) {
    co_await with_scope([&](scope& inside) -> task<void> {
        inside.spawn(send_flood(peer, state.flood));
        ++state.served;
        (void)co_await state.asked.wait();
        if (!state.by_drain) co_await graceful_close(peer, state.policy);
    });
}

task<void> serve(stream peer, crowd_state& state) {
    std::byte word[1];
    const auto first = co_await peer.recv(word);
    if (!first) co_return;
    if (static_cast<char>(word[0]) == stuck_peer) {
        co_await answer_and_end(peer, state);
        co_return;
    }
    peer.mark_idle();
    ++state.served;
    (void)co_await peer.recv(word); // its end
    co_await graceful_close(peer, state.policy);
}

task<void> end_all(loop& loop, server& ended, crowd_state& state, times& seen) {
    while (state.served < state.crowd.all())
        (void)co_await sleep_for(5ms);
    (void)co_await sleep_for(50ms); // as by hand
    seen.asked = loop.now();
    seen.deadline = seen.asked + state.crowd.within;
    state.policy.deadline = seen.deadline;
    if (state.by_drain) {
        co_await ended.drain({.within = 1h, .deadline = seen.deadline, .notice_for = 0ms});
        co_return;
    }
    state.asked.set();
    while (ended.open() > 0)
        (void)co_await sleep_for(5ms);
    co_await ended.drain();
}

} // namespace

times end_by_ringdown(int listener, const scene& crowd) {
    loop loop;
    crowd_state state(crowd);
    times seen;
    server_options options;
    options.on_phase = [&](server_phase entered) -> task<void> {
        // Before that, handshakes under way are waited for.
        if (entered == server_phase::asked_to_finish && state.by_drain) seen.asked = loop.now();
        co_return;
    };
    server only(
        loop, std::make_shared<listening_socket>(::dup(listener)),
        [&state](stream peer) { return serve(std::move(peer), state); }, options);
    loop.run(when_all(only.run(), end_all(loop, only, state, seen)));
    return seen;
}

} // namespace bench
