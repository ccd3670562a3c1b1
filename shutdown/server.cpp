#include <ringdown/shutdown/server.hpp>

#include <algorithm>
#include <array>
#include <cerrno>

#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/sleep.hpp>
#include <ringdown/shutdown/close.hpp>
#include <ringdown/shutdown/delivery_sample.hpp>
#include <ringdown/shutdown/ending.hpp>

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
           error == std::errc::no_buffer_space || error == std::errc::not_enough_memory;
}

task<result<void>> wait_for(loop& on, event& awaited) { co_return co_await awaited.wait(on); }

} // namespace

std::string_view name(server_phase phase) noexcept {
    static constexpr std::array<std::string_view, 5> names{"serving", "not_accepting", "waiting",
                                                           "aborting", "drained"};
    return names[static_cast<std::size_t>(phase)];
}

/// A connection that is being served; lives in the frame of `serve`.
class server::tracked final : public list_hook<tracked>, private timer {
public:
    tracked(server& by, connection& served) noexcept
        : timer(by.on_.timers()), by_(by), served_(served), progress_at_(by.on_.now()) {
        ++by_.open_;
        by_.tracked_.push_back(*this);
        look_again();
    }
    ~tracked() {
        --by_.open_;
        by_.connection_closed_.set();
        list_hook<tracked>::unlink();
        by_.note_progress();
    }
    [[nodiscard]] connection& served() noexcept { return *served_; }

private:
    // A few looks within the idle time, since bytes do not ring.
    void look_again() {
        if (by_.options_.idle <= 0ns) return;
        const auto now = by_.on_.now();
        set(std::min(later(now, by_.options_.idle / 16), later(progress_at_, by_.options_.idle)));
    }

    [[nodiscard]] std::uint64_t bytes_through() noexcept {
        connection& of = *served_;
        const std::uint64_t bytes = of.bytes().received + of.bytes().sent;
        return of.sends().empty() ? bytes : bytes + take_sample(of).acknowledged;
    }

    void expired() noexcept override {
        if (served_->life() != life_phase::open) return;
        const auto now = by_.on_.now();
        if (const auto through = bytes_through(); through != std::exchange(through_, through))
            progress_at_ = now;
        if (now - progress_at_ >= by_.options_.idle)
            ending::begin(*served_, by_.options_.when_idle);
        else
            look_again();
    }

    server& by_;
    connection_ref served_;
    loop::time_point progress_at_;
    std::uint64_t through_ = 0;
};

server::server(loop& on, std::shared_ptr<listening_socket> from, handler serve,
               server_options options)
    : on_(on), listener_(on, std::move(from)), handler_(std::move(serve)),
      options_(std::move(options)) {}

server::~server() { require(open_ == 0, "a server was destroyed while it ran; await its run"); }

task<result<void>> server::run() {
    accepting_ = true;
    auto served = co_await with_scope(on_, [this](scope& inside) -> task<result<void>> {
        handlers_ = &inside;
        const auto accepted = co_await accept_all(inside);
        accepting_ = false;
        note_progress();
        co_return accepted;
    });
    handlers_ = nullptr;
    co_return served;
}

task<result<void>> server::accept_all(scope& inside) {
    std::error_code end;
    while (!end) {
        auto accepted = co_await listener_.accept();
        if (accepted)
            inside.spawn(serve(std::move(*accepted)));
        else if (shortage(accepted.error()))
            co_await pause(accepted.error());
        else
            end = accepted.error();
    }
    // After a cancellation: those that were accepted already are served as far as it lets them.
    listener_.close();
    while (auto left = listener_.next_accepted())
        inside.spawn(serve(std::move(*left)));
    if (end != errc::ending) co_return std::unexpected(end);
    co_return result<void>{};
}

task<void> server::serve(stream accepted) {
    tracked here(*this, accepted.connection_of());
    std::exception_ptr failure;
    try {
        co_await handler_(std::move(accepted));
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure && options_.on_handler_failed) options_.on_handler_failed(failure);
    auto ending = ended(here.served());
    const teardown_report& report = co_await ending;
    counters_.add(report);
    if (options_.on_report) options_.on_report(report);
}

// Until a descriptor of ours comes back, or for a while.
task<result<void>> server::pause(std::error_code why) {
    const auto now = on_.now();
    if (options_.on_accept_paused && (!last_shortage_ || now > *last_shortage_ + shortage_quiet))
        options_.on_accept_paused(why);
    last_shortage_ = now;
    connection_closed_.reset();
    auto wait = wait_for(on_, connection_closed_);
    co_return co_await with_deadline(on_, now + shortage_retry, std::move(wait));
}

task<drain_report> server::drain(drain_policy policy) {
    const auto begun = on_.now();
    auto deadline = later(begun, policy.within);
    if (policy.deadline) deadline = std::min(deadline, *policy.deadline);
    const teardown_counters before = counters_;

    if (phase_ == server_phase::serving) {
        phase_ = server_phase::not_accepting;
        draining_.set();
        co_await stop_accepting(deadline);
        if (phase_ == server_phase::not_accepting) phase_ = server_phase::waiting;
        co_await wait_for_end(deadline);
        if (!ended_.happened())
            abort_all(escalated_ ? teardown_cause::drain : teardown_cause::deadline);
    } else {
        escalate();
    }
    co_await ended_.join(on_);
    phase_ = server_phase::drained;

    drain_report report;
    report.accepts = accepts();
    report.reports = counters_.reports;
    report.connections = counters_;
    report.connections.subtract(before);
    report.stragglers = stragglers_;
    report.escalated = escalated_;
    report.took = on_.now() - begun;
    co_return report;
}

task<void> server::stop_accepting(loop::time_point deadline) {
    for (;;) {
        const auto stopped = co_await listener_.stop();
        if (stopped || escalated_ || on_.now() >= deadline) break;
        const auto paused = co_await pause(stopped.error());
        if (!paused && paused.error() == canceled()) escalated_ = true;
    }
    listener_.close();
    note_progress();
}

task<void> server::wait_for_end(loop::time_point deadline) {
    if (escalated_) co_return;
    auto wait = wait_for(on_, progress_);
    const auto waited = co_await with_deadline(on_, deadline, std::move(wait));
    if (!waited && waited.error() == canceled()) escalated_ = true;
}

void server::escalate() noexcept {
    if (phase_ == server_phase::serving || phase_ == server_phase::drained) return;
    escalated_ = true;
    abort_all(teardown_cause::drain);
    progress_.set();
}

// Connections are ended before their handlers are cancelled, so that each is reported as ended by
// the drain.
void server::abort_all(teardown_cause for_graceful) {
    phase_ = server_phase::aborting;
    tracked_.for_each([&](tracked& left) {
        connection& open = left.served();
        if (open.life() == life_phase::closed) return;
        stragglers_.push_back({open.number(), open.from().peer});
        if (open.ending())
            ending::of(open).abort(for_graceful);
        else
            ending::begin(open, {requested_ending::abort, teardown_cause::drain, {}});
        stragglers_.back().peer = open.from().peer; // known since the abort at the latest
    });
    if (handlers_) handlers_->cancel();
}

void server::note_progress() noexcept {
    if (accepting_ || open_ > 0) return;
    ended_.set();
    progress_.set();
}

} // namespace ringdown
