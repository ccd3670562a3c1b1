#include "schedule.hpp"

#include <array>
#include <cstdlib>
#include <list>
#include <random>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/ringdown.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

#include "schedule_truth.hpp"
#include "session_schedule.hpp"
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
          dice_(what.seed * 2 + 1) {}

    task<void> run() {
        co_await with_scope([this](scope& inside) -> task<void> {
            for (auto left = below(5); left > 0; --left)
                co_await act(inside);
            co_await end(inside);
        });
    }

private:
    std::uint64_t below(std::uint64_t limit) { return dice_() % limit; }

    task<void> act(scope& inside) {
        switch (below(8)) {
        case 0:
        case 1:
        case 2:
            // One in four is cut short, if the peer is slow.
            if (below(4) == 0)
                inside.spawn(timed(send(below(4), sizes[below(sizes.size())])));
            else
                inside.spawn(send(below(4), sizes[below(sizes.size())]));
            break;
        case 3:
            co_await timed(receive());
            break;
        case 4:
            co_await timed(receive_lease());
            break;
        case 5:
            co_await sleep_for(pauses[below(pauses.size())]);
            break;
        case 6:
            inside.spawn(timed(watch_peer()));
            break;
        case 7:
            if (below(3) == 0)
                inside.spawn(finish_sending());
            else
                inside.spawn(timed(await_delivery()));
            break;
        }
    }

    task<void> end(scope& inside) {
        const ending_policy policy{.within = 500ms,
                                   .deadline = {},
                                   .idle = 300ms,
                                   .discard_bytes_max = limits[below(limits.size())]};
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
            co_await sleep_for(pauses[below(pauses.size())]);
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
            if (left) co_await hold(std::move(*left));
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
            break; // session_schedule.cpp has these
        }
    }

    task<void> close_too(ending_policy policy) {
        auto closing = graceful_close(peer_, policy);
        co_await closing;
    }

    // Joins the ending, or cuts it short, and does not change whose the descriptor is.
    task<void> end_beside(ending_policy policy) {
        co_await sleep_for(pauses[below(pauses.size())]);
        if (below(2) == 0) {
            auto closing = abort_close(peer_);
            co_await closing;
        } else {
            co_await close_too(policy);
        }
    }
    task<void> cancel_soon(scope& canceled) {
        co_await sleep_for(pauses[below(pauses.size())]);
        canceled.cancel();
    }

    // The descriptor is the application's: the library touches it no more, and neither do
    // operations that it forgot.
    task<void> hold(left_open left) {
        if (!left.descriptor) {
            if (ours_) seen_.complaints.push_back("no descriptor was left");
            co_return;
        }
        const sim_truth before = kernel_.truth(0);
        seen_.left = before;
        co_await sleep_for(pauses[below(pauses.size())]);
        const sim_truth& after = kernel_.truth(0);
        if (after.taken != before.taken || after.accepted != before.accepted || after.closed)
            seen_.complaints.push_back("a descriptor that was handed out is still in use");
    }

    task<void> send(std::uint64_t form, std::size_t size) {
        const auto data = seen_.next_to_send(size);
        traffic::handed& mine = seen_.handed_over.emplace_back(data);
        sent done;
        if (form == 0) {
            done = co_await peer_.send_zero_copy(data);
        } else if (form == 1) {
            const std::array<iovec, 2> parts{part(data.first(size / 2)),
                                             part(data.subspan(size / 2))};
            done = co_await peer_.send_vectored(parts);
        } else if (form == 2 && below(4) == 0) {
            seen_.fin_asked = true;
            done = co_await peer_.send_last(data);
        } else {
            done = co_await peer_.send(data);
        }
        mine.accepted = done.bytes;
        if (!done.error != (done.bytes == size)) seen_.complaints.push_back("a send lied");
    }

    task<void> receive() {
        std::vector<std::byte> into(1 + below(3000));
        const auto bytes = co_await peer_.recv(into);
        if (bytes) seen_.received(std::span(into).first(*bytes));
    }

    task<void> receive_lease() {
        const auto bytes = co_await peer_.recv_lease();
        if (bytes) seen_.received(bytes->data());
    }

    task<void> watch_peer() { co_await peer_closed(peer_); }
    task<void> finish_sending() {
        seen_.fin_asked = true;
        switch (below(3)) {
        case 0:
            co_await peer_.shutdown_both(limits[below(limits.size())]);
            break;
        case 1:
            (void)co_await peer_.send_last({});
            break;
        default:
            co_await peer_.shutdown_send();
        }
    }
    task<void> await_delivery() { co_await delivered(peer_); }
    task<void> timed(task<void> bounded) {
        co_await with_deadline(on_.now() + 50ms, std::move(bounded));
    }

    static iovec part(std::span<const std::byte> data) {
        return {const_cast<std::byte*>(data.data()), data.size()};
    }

    static constexpr std::array<std::size_t, 5> sizes{1, 100, 5'000, 40'000, 150'000};
    static constexpr std::array<std::chrono::nanoseconds, 4> pauses{1us, 50us, 3ms, 120ms};
    static constexpr std::array<std::uint64_t, 4> limits{0, 500, 300'000, ~std::uint64_t{0}};

    loop& on_;
    stream peer_;
    options what_;
    traffic& seen_;
    const sim_kernel& kernel_;
    std::mt19937_64 dice_;
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
    const connection_ref kept(state_of(*adopted));
    if (what.how == way::session_server || what.how == way::session_client) {
        co_await run_session(on, std::move(*adopted), what, seen, kernel);
    } else {
        application program(on, std::move(*adopted), what, seen, kernel);
        co_await program.run();
    }
    seen.counted = kept->bytes();
    ending_operation closed(*kept, {}, ending_operation::form::watch);
    co_await closed;
    seen.counted = kept->bytes();
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
    return kernel;
}

} // namespace

std::string_view name(way how) {
    static constexpr std::array<std::string_view, 11> names{
        "graceful", "abort",          "background",    "wait",
        "dropped",  "scope_canceled", "loop_ends",     "disconnect",
        "release",  "session_server", "session_client"};
    return names[static_cast<std::size_t>(how)];
}

std::uint64_t of_each() {
    const char* asked = std::getenv("RINGDOWN_SCHEDULES");
    return asked ? std::strtoull(asked, nullptr, 10) : 10'000;
}

outcome run(const options& what) {
    std::mt19937_64 dice(what.seed);
    const auto frames_before = frame_pool::statistics().live;
    const peer_script script = peer_script::random(dice());
    outcome result;
    result.peer = script.describe();
    traffic seen;
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
        result.exact = what.connect_error == 0 && !options_of_kernel.calls_take_time &&
                       on.has(capability::defer_taskrun);
        ledger(on).on_report(
            [&](const teardown_report& report) { result.reports.push_back(report); });
        on.run(run_to_report(on, kernel.adopt_peer(script), what, seen, kernel));
        if (on.operations_in_flight() != 0) seen.complaints.push_back("operations left in flight");
    }
    result.completions = kernel.completions_posted();
    result.complaints = std::move(seen.complaints);
    if (frame_pool::statistics().live != frames_before)
        result.complaints.push_back("frames or state blocks leaked");
    compare(result, seen, kernel);
    return result;
}

} // namespace schedules
