#include <array>
#include <memory>
#include <random>
#include <string>

#include <ringdown/runtime/internal/frame_pool.hpp>

#include "layered_peer.hpp"
#include "schedule.hpp"
#include "sim_rig.hpp"
#include "support/framing_layer.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Whole servers, from the first accept to the end of their drain, in any order of events: peers
// that come whenever they like and do what they like, handlers that do what the seed says, limits,
// a drain that is called off, escalated or cut short by its deadline.

namespace {

class serving_schedule {
public:
    serving_schedule(std::uint64_t seed, bool layered)
        : dice_(seed), at_(kernel_of(seed)), layered_(layered),
          handshake_(layered && seed % 3 == 0) {}

    void run() {
        at_.run([this]() -> task<void> {
            at_.kernel.disturb();
            socket_ = std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"),
                                                         listen_options{}, at_.kernel);
            const int fd = socket_->descriptor();
            for (auto left = peers_ = below(6); left > 0; --left)
                at_.kernel.after(pause(), [this, fd, script = some_peer()] {
                    at_.kernel.connect_peer(fd, script);
                });
            if (below(4) == 0) at_.kernel.fail_accepts(EMFILE, 1 + static_cast<int>(below(2)));
            server serving(
                at_.loop, socket_, [this](stream with) { return handle(std::move(with)); },
                options());
            co_await with_scope([&](scope& inside) -> task<void> {
                if (below(8) > 0) inside.spawn(run_server(serving));
                co_await sleep_for(pause());
                if (below(4) == 0) inside.spawn(disturb(serving));
                co_await drain(serving);
            });
            check(serving);
        });
    }

private:
    static sim_options kernel_of(std::uint64_t seed) {
        sim_options made{.seed = seed};
        if (seed % 4 == 1) made.missing.add(capability::multishot_accept);
        if (seed % 8 == 2) made.missing.add(capability::defer_taskrun);
        if (seed % 8 == 3) made.late_cancel = 2ms;
        if (seed % 8 == 4) made.submission_entries_max = 2;
        return made;
    }
    std::uint64_t below(std::uint64_t limit) { return dice_() % limit; }
    std::chrono::nanoseconds pause() {
        return std::array<std::chrono::nanoseconds, 5>{0ns, 20us, 300us, 5ms, 120ms}[below(5)];
    }

    peer_script some_peer() {
        const peer_script plain = peer_script::random(dice_());
        if (!layered_) return plain;
        return schedules::speak_layer(plain, dice_(), handshake_).script;
    }

    server_options options() {
        server_options made;
        if (layered_) made.layer = [this] { return std::make_unique<framing_layer>(handshake_); };
        made.connections_max = below(3);
        if (below(3) == 0) made.idle = 20ms;
        if (below(3) == 0)
            made.on_phase = [this](server_phase) -> task<void> { co_await sleep_for(pause()); };
        return made;
    }

    drain_policy policy() {
        drain_policy made;
        made.within = std::array<std::chrono::nanoseconds, 4>{0ns, 2ms, 80ms, 900ms}[below(4)];
        made.unready_for = below(2) * pause();
        made.notice_for = pause();
        made.spread = below(2) * pause();
        made.first_request_within = pause();
        made.handshakes_within = pause();
        made.idle = 50ms;
        made.hand_over = below(8) == 0;
        return made;
    }

    task<void> run_server(server& serving) { co_await serving.run(); }

    // One that was called off is drained all the same.
    task<void> drain(server& serving) {
        for (bool over = false; !over;) {
            const drain_policy chosen = policy();
            const drain_report done = co_await serving.drain(chosen);
            hands_over_ = chosen.hand_over;
            // A hook may keep it waiting.
            CHECK(done.took <= chosen.within + 150ms);
            CHECK((done.called_off || done.reports == done.accepts));
            over = !done.called_off;
        }
    }

    task<void> disturb(server& serving) {
        co_await sleep_for(pause());
        switch (below(3)) {
        case 0:
            serving.call_off();
            break;
        case 1:
            serving.escalate();
            break;
        default:
            co_await with_deadline(at_.loop.now() + pause(), draining(serving));
        }
    }
    task<void> draining(server& serving) { co_await serving.drain(policy()); }

    task<void> handle(stream with) {
        std::array<std::byte, 256> into;
        for (auto left = below(4); left > 0; --left) {
            if (below(4) > 0) with.mark_idle();
            const auto bytes = co_await with.recv(into);
            if (!bytes) break;
            if (below(4) == 0) co_await sleep_for(pause());
            const auto sent = co_await with.send(std::span(into).first(*bytes));
            if (!sent) break;
        }
        if (below(3) > 0) co_await graceful_close(with, {.within = 300ms});
    }

    void check(const server& serving) {
        CHECK(serving.phase() == server_phase::drained);
        CHECK(serving.accepts() <= peers_);
        REQUIRE(at_.reports.size() == serving.accepts());
        for (std::size_t i = 0; i < at_.kernel.connections(); ++i)
            check_connection(i);
        CHECK(socket_.use_count() == 1); // nothing accepts any more
        CHECK((hands_over_ || socket_->descriptor() < 0));
    }

    void check_connection(std::size_t which) {
        const sim_truth& truth = at_.kernel.truth(which);
        CHECK(truth.closed);
        if (!layered_) return;
        const unframed arrived = unframe(at_.kernel.arrived(which));
        CHECK(arrived.sound);
        CHECK((arrived.goodbye || !truth.fin_arrived));
    }

    std::mt19937_64 dice_;
    sim_rig at_;
    bool layered_;
    bool handshake_;
    std::shared_ptr<listening_socket> socket_;
    std::uint64_t peers_ = 0;
    bool hands_over_ = false;
};

void drive(bool layered) {
    const std::uint64_t count = std::min<std::uint64_t>(schedules::of_each(), 4'000);
    for (std::uint64_t seed = 1; seed <= count; ++seed) {
        CAPTURE(seed);
        const auto frames = frame_pool::statistics().live;
        {
            serving_schedule schedule(seed, layered);
            schedule.run();
        }
        REQUIRE(frame_pool::statistics().live == frames);
    }
}

} // namespace

TEST_CASE(
    "server schedules: a drain reports whomever was accepted, in time, in any order of events") {
    drive(false);
}

TEST_CASE("server schedules: so it does above a layer, whose goodbye is ahead of every FIN") {
    drive(true);
}
