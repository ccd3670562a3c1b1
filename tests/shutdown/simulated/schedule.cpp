#include "schedule.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <list>
#include <random>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/ringdown.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

#include "any_schedule.hpp"
#include "layered_peer.hpp"
#include "schedule_actor.hpp"
#include "schedule_descriptor.hpp"
#include "schedule_truth.hpp"
#include "session_schedule.hpp"
#include "support/framing_layer.hpp"
#include "support/sim_kernel.hpp"

namespace schedules {
namespace {

using namespace ringdown;
using namespace std::chrono_literals;

// The application's side of one schedule.
class application {
public:
    application(loop& on, stream peer, const options& what, traffic& seen, const sim_kernel& kernel)
        : on_(on), peer_(std::move(peer)), what_(what), seen_(seen), kernel_(kernel),
          dice_(what.seed * 2 + 1), actor_(on, peer_, seen, dice_) {}

    task<void> run() {
        co_await with_scope([this](scope& inside) -> task<void> {
            for (auto left = below(5); left > 0; --left)
                co_await actor_.act(inside);
            co_await end(inside);
        });
    }

private:
    std::uint64_t below(std::uint64_t limit) { return dice_() % limit; }

    task<void> end(scope& inside) {
        const ending_policy policy{.within = 500ms,
                                   .deadline = {},
                                   .idle = 300ms,
                                   .discard_bytes_max = actor_.discard_limit()};
        switch (what_.how) {
        case way::graceful: {
            if (below(4) == 0) inside.spawn(close_too(policy));
            auto closing = graceful_close(peer_, policy);
            co_await closing;
            break;
        }
        case way::abort: {
            auto closing = abort_close(peer_);
            co_await closing;
            break;
        }
        case way::background:
            co_await close(peer_, lingering::background(400ms));
            break;
        case way::wait:
            co_await close(peer_, lingering::wait(400ms));
            break;
        case way::dropped: {
            // While its operations are still in flight.
            const stream dropped = std::move(peer_);
            break;
        }
        case way::scope_canceled: {
            inside.spawn(close_too(policy));
            co_await sleep_for(actor_.pause());
            inside.cancel();
            break;
        }
        case way::loop_ends:
            on_.stop();
            break;
        case way::disconnect: {
            if (below(4) == 0) inside.spawn(end_beside(policy));
            ours_ = !state_of(peer_).ending();
            auto leaving = disconnect(peer_, policy);
            auto left = co_await leaving;
            co_await hold(std::move(left));
            break;
        }
        case way::release: {
            if (below(4) == 0) inside.spawn(end_beside(policy));
            if (below(4) == 0) inside.spawn(cancel_soon(inside));
            ours_ = !state_of(peer_).ending();
            auto releasing = release(peer_, 400ms);
            auto left = co_await releasing;
            co_await hold(std::move(left));
            break;
        }
        case way::session_server:
        case way::session_client:
        case way::any:
            break; // session_schedule.cpp and any_schedule.cpp have these
        }
    }

    task<void> close_too(ending_policy policy) {
        auto closing = graceful_close(peer_, policy);
        co_await closing;
    }

    // Joins the ending, or cuts it short, and does not change whose the descriptor is.
    task<void> end_beside(ending_policy policy) {
        co_await sleep_for(actor_.pause());
        if (below(2) == 0) {
            auto closing = abort_close(peer_);
            co_await closing;
        } else {
            co_await close_too(policy);
        }
    }
    task<void> cancel_soon(scope& canceled) {
        co_await sleep_for(actor_.pause());
        canceled.cancel();
    }

    task<void> hold(left_open left) {
        return hold_descriptor(std::move(left), ours_, actor_.pause(), seen_, kernel_);
    }

    loop& on_;
    stream peer_;
    options what_;
    traffic& seen_;
    const sim_kernel& kernel_;
    std::mt19937_64 dice_;
    actor actor_;
    bool ours_ = true; // the ending; else the limit of `shutdown_both` has begun it before
};

task<void> run_to_report(loop& on, int fd, const options& what, traffic& seen,
                         const sim_kernel& kernel) {
    auto adopted = adopt(on, fd);
    if (!adopted) {
        seen.refused = adopted.error();
        on.calls().close(fd); // it stayed the caller's
        co_return;
    }
    if (seen.layered) {
        auto beneath = std::make_unique<ringdown::testing::framing_layer>(what.handshake());
        (void)adopted->use_layer(std::move(beneath));
    }
    const connection_ref kept(state_of(*adopted));
    seen.number = kept->number();
    if (what.how == way::session_server || what.how == way::session_client) {
        co_await run_session(on, std::move(*adopted), what, seen, kernel);
    } else if (what.how == way::any) {
        co_await run_any(on, std::move(*adopted), what, seen, kernel);
    } else {
        application program(on, std::move(*adopted), what, seen, kernel);
        co_await program.run();
    }
    seen.counted = kept->bytes();
    ending_operation closed(*kept, {}, ending_operation::form::watch);
    co_await closed;
    seen.counted = kept->bytes();
}

// A socket that the application has used by itself for a while.
task<void> connect_and_run(loop& on, const peer_script& script, const options& what, traffic& seen,
                           sim_kernel& kernel, std::mt19937_64& dice) {
    seen.connection = kernel.connections();
    const int fd = kernel.adopt_peer(script);
    if (!what.layered && dice() % 4 == 0) {
        seen.sent_before = std::array<std::uint64_t, 3>{1, 900, 5'000}[dice() % 3];
        kernel.send_before(fd, seen.sent_before);
    }
    if (dice() % 4 == 0) kernel.pass(std::chrono::microseconds(dice() % 200));
    co_await run_to_report(on, fd, what, seen, kernel);
}

// The second one comes while the first is there, or has its number after it.
task<void> run_all(loop& on, const options& what, std::vector<traffic>& seen, sim_kernel& kernel,
                   const std::vector<peer_script>& scripts, std::mt19937_64& dice) {
    co_await with_scope([&](scope& inside) -> task<void> {
        for (std::size_t i = 0; i < seen.size(); ++i) {
            const std::chrono::nanoseconds wait =
                std::array<std::chrono::nanoseconds, 4>{0ns, 40us, 5ms, 800ms}[dice() % 4];
            if (i > 0) co_await sleep_for(wait);
            inside.spawn(connect_and_run(on, scripts[i], what, seen[i], kernel, dice));
        }
    });
}

sim_options kernel_of(const options& what, std::mt19937_64& dice) {
    sim_options kernel;
    kernel.seed = what.seed;
    kernel.drop_completion = what.drop_completion;
    kernel.close_error = what.close_error;
    kernel.connect_error = what.connect_error;
    kernel.setsockopt_error = what.setsockopt_error;
    kernel.calls_take_time = dice() % 4 != 0;
    kernel.submission_entries_max = std::array{0u, 2u, 8u}[dice() % 3];
    kernel.completion_entries_max = std::array{0u, 4u, 16u}[dice() % 3];
    if (dice() % 4 == 0) kernel.late_cancel = 2ms;
    for (const capability which : all_capabilities())
        if (dice() % 8 == 0) kernel.missing.add(which);
    if (what.how != way::any) return kernel;
    // A sandbox refuses what it likes.
    if (dice() % 8 == 0)
        kernel.connect_error = EPERM;
    else if (dice() % 16 == 0)
        kernel.setsockopt_error = EPERM;
    if (dice() % 16 == 0) kernel.discard_error = EINVAL;
    return kernel;
}

} // namespace

std::string_view name(way how) {
    static constexpr std::array<std::string_view, 12> names{
        "graceful", "abort",          "background",     "wait",
        "dropped",  "scope_canceled", "loop_ends",      "disconnect",
        "release",  "session_server", "session_client", "any"};
    return names[static_cast<std::size_t>(how)];
}

std::uint64_t of_each() {
    const char* asked = std::getenv("RINGDOWN_SCHEDULES");
    return asked ? std::strtoull(asked, nullptr, 10) : 10'000;
}

outcome run(const options& what) {
    std::mt19937_64 dice(what.seed);
    const auto frames_before = frame_pool::statistics().live;
    std::vector<peer_script> scripts{peer_script::random(dice())};
    if (what.how == way::any) {
        if (dice() % 2 == 0) scripts.push_back(peer_script::random(dice()));
        for (peer_script& each : scripts)
            each.fast_open = dice() % 8 == 0;
    }
    std::vector<traffic> seen(scripts.size());
    for (std::size_t i = 0; what.layered && i < seen.size(); ++i) {
        layered_peer spoken = speak_layer(scripts[i], dice(), what.handshake());
        scripts[i] = std::move(spoken.script);
        seen[i].layered = true;
        seen[i].peer_wire = std::move(spoken.wire);
    }
    outcome result;
    for (const peer_script& each : scripts)
        result.peer += each.describe() + "\n";
    const sim_options options_of_kernel = kernel_of(what, dice);
    sim_kernel kernel(options_of_kernel);
    {
        loop_options options;
        options.calls = &kernel;
        options.buffers = 4;
        options.buffer_bytes = 700;
        if (dice() % 4 == 0) options.fin = fin_method::operation;
        loop on(options);
        // Without deferred work a receive may run between two calls, and nobody knows; a close on
        // the ring comes a little after the question.
        result.exact = options_of_kernel.connect_error == 0 && !options_of_kernel.calls_take_time &&
                       on.has(capability::defer_taskrun);
        ledger(on).on_report(
            [&](const teardown_report& report) { result.reports.push_back(report); });
        for (traffic& each : seen)
            each.reset_refused = options_of_kernel.connect_error != 0;
        if (what.how == way::any)
            on.run(run_all(on, what, seen, kernel, scripts, dice));
        else
            on.run(run_to_report(on, kernel.adopt_peer(scripts[0]), what, seen[0], kernel));
        if (on.operations_in_flight() != 0)
            result.complaints.push_back("operations left in flight");
    }
    result.completions = kernel.completions_posted();
    if (frame_pool::statistics().live != frames_before)
        result.complaints.push_back("frames or state blocks leaked");
    compare(result, seen, kernel);
    return result;
}

} // namespace schedules
