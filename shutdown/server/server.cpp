#include <ringdown/shutdown/server/server.hpp>

#include <algorithm>
#include <array>
#include <cerrno>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/internal/exit.hpp>
#include <ringdown/runtime/sleep.hpp>
#include <ringdown/shutdown/ending/close.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>
#include <ringdown/shutdown/server/internal/activity.hpp>
#include <ringdown/shutdown/server/internal/drain_run.hpp>
#include <ringdown/shutdown/server/internal/tracked.hpp>

namespace ringdown {
namespace {

using namespace std::chrono_literals;

// How long a shortage has to be over before the next one is told of again.
constexpr auto shortage_quiet = 10s;
// When nothing is closed here, another process may still have given descriptors back.
constexpr auto shortage_retry = 100ms;

bool shortage(std::error_code error) noexcept {
    return error == std::errc::too_many_files_open ||
           error == std::errc::too_many_files_open_in_system ||
           error == std::errc::no_buffer_space || error == std::errc::not_enough_memory ||
           error == std::errc::operation_not_permitted; // a firewall's rule, which may go
}

} // namespace

server::server(loop& loop, std::shared_ptr<listening_socket> from, handler serve,
               server_options options)
    : on_(loop),
      listener_(loop, std::move(from),
                options.connections_max > 0 ? options.connections_max : listener::unlimited),
      handler_(std::move(serve)), options_(std::move(options)) {
    no_hook_.set();
    all_served_.set();
    note_limit();
}

server::~server() {
    const bool runs = open_ > 0 || !all_served_.happened() || under_way_;
    require(!runs || exiting() || on_.lost(),
            "a server was destroyed while it ran; await its run, or its drain when accepting has "
            "failed");
    tracked_.for_each([](tracked& left) { leave_behind(&left); });
}

task<result<void>> server::run() {
    require(all_served_.happened(), "a server was run twice at once; await its run and its drain");
    run_answers_.reset();
    all_served_.reset();
    accepting_ = true;
    on_.spawn(serve_all());
    const auto waited = co_await run_answers_.wait();
    if (!waited) {
        if (handlers_) handlers_->cancel();
        co_await run_answers_.join();
    }
    if (serving_threw_) std::rethrow_exception(std::exchange(serving_threw_, nullptr));
    co_return served_;
}

// Not below `run`, which answers earlier when accepting has become impossible.
task<void> server::serve_all() {
    std::exception_ptr failure;
    try {
        co_await with_scope([this](scope& inside) -> task<void> {
            handlers_ = &inside;
            served_ = co_await accept_all(inside);
            accepting_ = false;
            note_progress();
            if (!served_ && served_.error() != std::errc::operation_canceled)
                note_failure(served_.error());
        });
    } catch (...) {
        failure = std::current_exception();
    }
    handlers_ = nullptr;
    accepting_ = false;
    if (!run_answers_.happened()) {
        serving_threw_ = std::exchange(failure, nullptr);
        run_answers_.set();
    }
    all_served_.set();
    if (failure) std::rethrow_exception(failure);
}

void server::note_failure(std::error_code why) {
    if (options_.on_accept_failed) on_.call_back(options_.on_accept_failed, why);
    run_answers_.set();
}

task<result<void>> server::accept_all(scope& inside) {
    std::error_code end;
    while (!end) {
        co_await within_limit();
        auto accepted = co_await listener_.accept();
        if (accepted) {
            const auto now = on_.now();
            serve(std::move(*accepted), now, inside);
            serve_accepted(now, inside); // who came with it
        } else if (shortage(accepted.error())) {
            co_await pause(accepted.error());
        } else {
            end = accepted.error();
        }
    }
    // After a cancellation: those that were accepted already are served as far as it lets them.
    accepting_ = false;
    stop_listening();
    serve_accepted(on_.now(), inside);
    co_await listener_.join();
    // An abort cancels what accepts, too.
    if (end != errc::ending && phase_ < server_phase::aborting) co_return std::unexpected(end);
    co_return result<void>{};
}

// Until there is room for one more, or nobody is served any more.
task<void> server::within_limit() {
    for (bool waits = full(); waits;) {
        tell_paused(make_error_code(errc::connection_limit));
        connection_closed_.reset();
        const auto waited = co_await connection_closed_.wait();
        waits = waited && full();
    }
}

void server::serve_accepted(loop::time_point at, scope& inside) {
    while (!full()) {
        auto next = listener_.next_accepted();
        if (!next) break;
        serve(std::move(*next), at, inside);
    }
}

// While its handler runs, a connection costs the handler's frame and `tracked`; what its end needs
// is in the frame of `conclude`.
void server::serve(stream accepted, loop::time_point at, scope& inside) {
    tracked& here = *new tracked(*this, state_of(accepted), at);
    note_limit();
    std::exception_ptr failure;
    if (phase_ == server_phase::aborting) {
        abort_one(here, teardown_cause::drain);
    } else {
        try {
            if (options_.layer) (void)accepted.use_layer(options_.layer());
            auto handling = handler_(std::move(accepted));
            inside.spawn(std::move(handling), here);
            return;
        } catch (...) {
            failure = std::current_exception();
        }
    }
    inside.spawn(conclude(here, std::move(failure)));
}

task<void> server::conclude(tracked& handled, std::exception_ptr failure) {
    std::unique_ptr<tracked> here(&handled);
    if (failure && options_.on_handler_failed) on_.call_back(options_.on_handler_failed, failure);
    here->handled();
    ending_operation ended(here->served(), {}, ending_operation::form::watch);
    (void)co_await ended;
    report(std::move(here));
}

void server::report(std::unique_ptr<tracked> closed) noexcept {
    const teardown_report& report = closed->report();
    counters_.add(report);
    if (options_.on_report) on_.call_back(options_.on_report, report);
}

// Until a descriptor of ours comes back, or for a while.
task<result<void>> server::pause(std::error_code why) {
    tell_paused(why);
    connection_closed_.reset();
    const auto now = on_.now();
    co_return co_await with_deadline(now + shortage_retry, connection_closed_.wait());
}

void server::tell_paused(std::error_code why) {
    const auto now = on_.now();
    if (options_.on_accept_paused && (!last_shortage_ || now > *last_shortage_ + shortage_quiet))
        on_.call_back(options_.on_accept_paused, why);
    last_shortage_ = now;
}

// The listener holds what may still become open.
void server::note_limit() {
    if (options_.connections_max == 0 || options_.connections_max >= listener::unlimited) return;
    const std::size_t most = options_.connections_max;
    listener_.limit(most - std::min(most, open_));
}

void server::note_progress() noexcept {
    note_limit();
    if (under_way_ && nothing_left()) under_way_->stir();
}

void server::summarize(server_summary& into) const noexcept {
    into.phase = phase_;
    into.ready = ready();
    into.accepts = accepts();
    into.reports = counters_.reports;
}

server_summary server::summary() {
    server_summary made;
    summarize(made);
    if (!tracked_.empty()) made.oldest = tracked_.front().now(on_.now());
    tracked_.for_each([&made](tracked& each) {
        ++made.by_activity[static_cast<std::size_t>(activity_of(each.served()))];
    });
    return made;
}

server_snapshot server::snapshot() {
    server_snapshot made;
    summarize(made);
    made.connections.reserve(open_);
    tracked_.for_each([&made, at = on_.now()](tracked& each) {
        made.connections.push_back(each.asked(at));
        ++made.by_activity[static_cast<std::size_t>(made.connections.back().activity)];
    });
    if (!made.connections.empty()) made.oldest = made.connections.front();
    return made;
}

} // namespace ringdown
