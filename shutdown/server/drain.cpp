#include <array>

#include <ringdown/shutdown/ending/internal/ending.hpp>
#include <ringdown/shutdown/server/internal/drain_run.hpp>
#include <ringdown/shutdown/server/internal/tracked.hpp>
#include <ringdown/shutdown/server/server.hpp>

// The phases of a drain, and its hooks.

namespace ringdown {

std::string_view name(server_phase phase) noexcept {
    static constexpr std::array<std::string_view, server_phases> names{
        "serving", "unready", "not_accepting", "asked_to_finish", "waiting", "aborting", "drained"};
    return names[static_cast<std::size_t>(phase)];
}

task<drain_report> server::drain(drain_policy policy) {
    const cancellation* asking = co_await current_cancellation{};
    require(!(handlers_ && handlers_->governing().governs(asking)) &&
                !(hook_ && hook_->governs(asking)),
            "a server's handler or hook awaited the drain that waits for it; spawn it on the loop");
    if (under_way_ || phase_ == server_phase::drained) {
        escalate();
        co_await answered_.join();
        co_return *drained_as_;
    }
    drain_run run(*this, policy);
    co_await with_scope([&](scope& inside) -> task<void> { co_await conduct(run, inside); });
    if (run.called_off()) co_return run.report();
    // `run` may have answered before, that accepting failed; else it does now.
    co_await all_served_.join();
    drained_as_ = run.report();
    answered_.set();
    co_return *drained_as_;
}

void server::escalate() noexcept {
    if (!under_way_ || phase_ == server_phase::drained) return;
    under_way_->note_escalated();
    cancel_hook();
    abort_all(teardown_cause::drain);
    under_way_->stir();
}

bool server::call_off() noexcept {
    if (phase_ != server_phase::unready) return false;
    under_way_->call_off();
    return true;
}

void server::enter(server_phase next) {
    require(legal(phase_, next), "illegal move of a server's phase");
    under_way_->note_left(phase_);
    phase_ = next;
}

// Waits until `done`. False when the drain was called off, or aborts.
template <class Done>
task<bool> server::pass(drain_run& run, Done done) {
    while (!run.called_off() && phase_ != server_phase::aborting && !done()) {
        run.stirred().reset();
        const auto waited = co_await run.stirred().wait();
        if (!waited) escalate();
    }
    co_return !run.called_off() && phase_ != server_phase::aborting;
}

task<void> server::conduct(drain_run& run, scope& inside) {
    co_await wait_unready(run, inside);
    if (run.called_off()) {
        // Not `begin_hook`: another drain may have begun.
        if (options_.on_phase) inside.spawn(run_hook(run, server_phase::serving));
        co_return;
    }
    if (phase_ == server_phase::unready) {
        enter(server_phase::not_accepting);
        begin_hook(run, inside);
        inside.spawn(stop_accepting(run));
        co_await pass(run, [&] {
            return (run.stopped || run.short_of_descriptors()) && no_hook_.happened();
        });
    } else {
        run.stopped = true;
    }
    if (phase_ == server_phase::not_accepting) co_await ask_to_finish(run, inside);
    co_await wait_for_end(run, inside);
}

task<void> server::wait_unready(drain_run& run, scope& inside) {
    enter(server_phase::unready);
    begin_hook(run, inside);
    const auto until = later(on_.now(), run.policy().unready_for);
    run.stir_at(until);
    co_await pass(run, [&] { return no_hook_.happened() && on_.now() >= until; });
}

task<void> server::stop_accepting(drain_run& run) {
    cancellation* ambient = co_await current_cancellation{};
    cancellation governing(ambient);
    co_await governed_by{governing};
    run.stopping = &governing;
    const bool left_to_others = run.policy().hand_over || listener_.leave_to_others();
    while (phase_ != server_phase::aborting) {
        std::error_code error;
        if (left_to_others) {
            const auto left = co_await listener_.hand_over();
            if (left) break;
            error = left.error();
        } else {
            const auto stopped = co_await listener_.stop(run.patience());
            if (stopped) break;
            error = stopped.error();
        }
        if (phase_ == server_phase::aborting) break;
        run.note_shortage();
        co_await pause(error);
    }
    run.stopping = nullptr;
    if (!left_to_others) note_refusal(run);
    listener_.close();
    co_await listener_.join();
    run.stopped = true;
    run.stir();
}

task<void> server::ask_to_finish(drain_run& run, scope& inside) {
    enter(server_phase::asked_to_finish);
    begin_hook(run, inside);
    draining_.set();
    const auto until = run.notice_until();
    run.stir_at(until);
    co_await pass(
        run, [&] { return nothing_left() || run.short_of_descriptors() || on_.now() >= until; });
    final_notice_.set();
    if (phase_ != server_phase::asked_to_finish) co_return;
    run.begin_ending_idle();
    const bool asked =
        co_await pass(run, [&] { return run.looked_at_idle() && no_hook_.happened(); });
    if (asked) enter(server_phase::waiting);
}

task<void> server::wait_for_end(drain_run& run, scope& inside) {
    if (phase_ == server_phase::waiting) {
        begin_hook(run, inside);
        co_await pass(run, [&] { return run.stopped && nothing_left() && no_hook_.happened(); });
    }
    if (phase_ == server_phase::aborting) {
        begin_hook(run, inside);
        // Those that nobody has taken, because the server does not run.
        while (auto left = handlers_ ? std::nullopt : listener_.next_accepted())
            serve(std::move(*left), on_.now(), inside);
    }
    while (!run.stopped || !nothing_left() || !no_hook_.happened()) {
        run.stirred().reset();
        co_await run.stirred().join();
    }
    enter(server_phase::drained);
    begin_hook(run, inside);
    co_await no_hook_.join();
}

void server::begin_hook(drain_run& run, scope& inside) {
    if (options_.on_phase) inside.spawn(run_hook(run, phase_));
}

task<void> server::run_hook(drain_run& run, server_phase entered) {
    cancellation* ambient = co_await current_cancellation{};
    cancellation governing(ambient);
    co_await governed_by{governing};
    // One of a phase that was left by an abort, or of a drain that was called off.
    while (!no_hook_.happened())
        co_await no_hook_.join();
    no_hook_.reset();
    hook_ = &governing;
    hook_of_ = &run;
    if (run.past_deadline()) governing.request(cancel_reason::deadline);
    std::exception_ptr failure;
    try {
        co_await options_.on_phase(entered);
    } catch (...) {
        failure = std::current_exception();
    }
    hook_ = nullptr;
    no_hook_.set();
    run.stir();
    if (!failure) co_return;
    if (options_.on_hook_failed)
        on_.call_back(options_.on_hook_failed, entered, failure);
    else
        on_.keep(std::move(failure));
}

void server::cancel_hook() noexcept {
    if (hook_) hook_->request(cancel_reason::deadline);
}

// Connections are ended before their handlers are cancelled, so that each is reported as ended by
// the drain.
void server::abort_all(teardown_cause for_graceful) {
    if (phase_ != server_phase::aborting) enter(server_phase::aborting);
    stragglers_.reserve(stragglers_.size() + open_);
    tracked_.for_each([&](tracked& left) { abort_one(left, for_graceful); });
    if (handlers_) handlers_->cancel();
    connection_closed_.set(); // wakes who waits for the limit
    if (under_way_->stopping) under_way_->stopping->request(cancel_reason::deadline);
    stop_listening();
}

// Of a drained server nobody is to wait for an answer, though the program keeps the listening
// socket: it is closed, unless others accept from it.
void server::stop_listening() {
    if (under_way_ && !under_way_->policy().hand_over && !listener_.leave_to_others())
        note_refusal(*under_way_);
    listener_.close();
}

void server::note_refusal(drain_run& run) {
    run.newcomers = listener_.refuse();
    if (run.newcomers == refusal::denied && !run.told_of_refusal && options_.on_refusal_denied) {
        run.told_of_refusal = true;
        on_.call_back(options_.on_refusal_denied, listener_.denied_by());
    }
}

void server::abort_one(tracked& left, teardown_cause for_graceful) {
    if (left.over() || left.straggles()) return;
    left.straggle();
    stragglers_.push_back(left.asked(on_.now()));
    connection& open = left.served();
    if (open.life() == life_phase::closed) return;
    if (open.ending())
        ending::of(open).abort(for_graceful);
    else
        ending::begin(open, {plans::abort, teardown_cause::drain, {}});
    stragglers_.back().peer = open.peer(); // known since the abort at the latest
}

} // namespace ringdown
