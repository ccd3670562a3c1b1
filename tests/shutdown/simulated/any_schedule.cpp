#include "any_schedule.hpp"

#include <random>

#include <ringdown/net/internal/state_of.hpp>

#include "schedule_actor.hpp"
#include "schedule_descriptor.hpp"

namespace schedules {
namespace {

using namespace ringdown;

class application {
public:
    application(loop& loop, stream peer, const options& what, traffic& seen,
                const sim_kernel& kernel)
        : loop_(loop), peer_(std::move(peer)), seen_(seen), kernel_(kernel),
          dice_(what.seed * 4 + 1 + seen.connection), actor_(loop, peer_, seen, dice_) {}

    task<void> run() {
        co_await with_scope([this](scope& inside) -> task<void> {
            for (auto left = below(6); left > 0; --left)
                co_await actor_.act_freely(inside);
            if (below(3) == 0) co_await sleep_for(actor_.pause());
            co_await end_nested(inside);
            inside.cancel(); // who waits for what an ending does not end
        });
    }

private:
    std::uint64_t below(std::uint64_t limit) { return dice_() % limit; }
    ending_policy limits() { return actor_.limits(); }

    // One ending or two, in scopes of their own that may be cancelled.
    task<void> end_nested(scope& outside) {
        if (below(4) == 0) outside.spawn(end_later());
        if (below(6) == 0) outside.spawn(cancel_later(outside));
        co_await with_scope([this](scope& inner) -> task<void> {
            if (below(4) == 0) inner.spawn(cancel_later(inner));
            co_await end();
        });
    }

    task<void> cancel_later(scope& canceled) {
        co_await sleep_for(actor_.pause());
        canceled.cancel();
    }

    // Joins an ending, or cuts it short, or is the first.
    task<void> end_later() {
        co_await sleep_for(actor_.pause());
        if (!peer_) co_return;
        if (below(3) == 0)
            co_await end_and_hold();
        else
            co_await end_and_close();
    }

    task<void> end() {
        switch (below(12)) {
        case 0: {
            // While its operations are still in flight.
            const stream dropped = std::move(peer_);
            break;
        }
        case 1:
            loop_.stop();
            break;
        case 2:
        case 3:
        case 4:
        case 5:
            co_await end_and_hold();
            break;
        default:
            co_await end_and_close();
        }
    }

    task<void> end_and_hold() {
        const bool begins = !state_of(peer_).ending();
        left_open left;
        switch (below(3)) {
        case 0: {
            auto leaving = disconnect(peer_, limits());
            left = co_await leaving;
            break;
        }
        case 1: {
            auto leaving = abort_disconnect(peer_);
            left = co_await leaving;
            break;
        }
        default: {
            auto releasing = release(peer_, limits().within);
            left = co_await releasing;
        }
        }
        co_await hold_descriptor(std::move(left), begins, actor_.pause(), seen_, kernel_);
    }

    task<void> end_and_close() {
        switch (below(7)) {
        case 0: {
            auto closing = abort_close(peer_);
            co_await closing;
            break;
        }
        case 1:
            co_await close(peer_, lingering::background(limits().within));
            break;
        case 2:
            co_await close(peer_, lingering::wait(limits().within));
            break;
        case 3: {
            // A row of the application's own.
            auto row = plans::graceful;
            row.waits_for = awaited_answer::acknowledgement;
            auto ending = ringdown::end(peer_, row, limits());
            co_await ending;
            break;
        }
        case 4: {
            begin_ending(peer_, {.policy = limits()});
            auto watching = ended(peer_);
            co_await watching;
            break;
        }
        default: {
            auto closing = graceful_close(peer_, limits());
            co_await closing;
        }
        }
    }

    loop& loop_;
    stream peer_;
    traffic& seen_;
    const sim_kernel& kernel_;
    std::mt19937_64 dice_;
    actor actor_;
};

} // namespace

task<void> run_any(loop& loop, stream peer, const options& what, traffic& seen,
                   const sim_kernel& kernel) {
    application program(loop, std::move(peer), what, seen, kernel);
    co_await program.run();
}

} // namespace schedules
