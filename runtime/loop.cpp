#include <ringdown/runtime/loop.hpp>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include <ringdown/runtime/internal/alarm_clock.hpp>
#include <ringdown/runtime/internal/exit.hpp>
#include <ringdown/runtime/internal/mailbox.hpp>
#include <ringdown/runtime/internal/ring_operation.hpp>

namespace ringdown {
namespace {

// The resets of a crowd with one deadline leave first, after about 10 microseconds each; the loop
// handles what they cause when the last has left. With 16 a turn the thousandth reset left twice as
// late. With at most 1,024, nobody else waits for them longer than about 10 milliseconds.
constexpr unsigned timers_a_turn = 1024;

// What is due sooner is waited for: an alarm is for what may well be unset before.
constexpr std::chrono::milliseconds alarm_from{1};

fin_method decide_fin(fin_method asked, system_calls& calls) {
    if (const char* forced = std::getenv("RINGDOWN_FIN")) {
        const std::string_view word = forced;
        if (word == "system_call")
            asked = fin_method::system_call;
        else if (word == "operation")
            asked = fin_method::operation;
        else if (word == "probe")
            asked = fin_method::probe;
        else
            throw std::invalid_argument("RINGDOWN_FIN: '" + std::string(word) +
                                        "' is none of system_call, operation, probe");
    }
    if (asked != fin_method::probe) return asked;
    return probe_shutdown_in_place(calls) ? fin_method::operation : fin_method::system_call;
}

} // namespace

loop::loop(const loop_options& options)
    : options_(options), calls_(options.calls ? *options.calls : kernel()),
      ring_(calls_, options.ring), alarm_(std::make_unique<alarm_clock>(*this)),
      mailbox_(std::make_unique<mailbox>(*this)) {
    if (!std::has_single_bit(options.buffers) || options.buffers > 32768 ||
        options.buffer_bytes == 0)
        throw std::invalid_argument("loop_options: buffers is a power of two up to 32768, "
                                    "buffer_bytes is at least 1");
    options_.fin = decide_fin(options.fin, calls_);
    options_.ring.entries = ring_.entries();
    options_.ring.completion_entries = ring_.completion_entries();
}

loop::~loop() {
    if (lost()) {
        if (enabled_ || !residents_.empty()) leave_all_behind(); // else nothing was ever begun
        return;
    }
    if (root_) {
        require(exiting() && ring_.thread() == std::this_thread::get_id(),
                "a loop was destroyed while it runs, by its own run, or at the end of main beside "
                "the thread that runs it; stop it, and let its run return first");
        leave_to_exit();
        return;
    }
    mailbox_->drop();
    if (residents_.empty()) return;
    // What was adopted outside of any run ends as at the end of one.
    try {
        begin_run();
        end_run();
    } catch (...) { // of a callback, or the ring is denied; there is nobody left to be told
    }
    if (lost()) leave_all_behind();
}

// The kernel has been given the addresses of what is in flight, and may tell no more when it is
// done with them: so nothing is freed that they may be part of.
void loop::leave_all_behind() noexcept {
    leave_behind(root_.release());
    for (auto& [type, made] : services_)
        leave_behind(made.release());
    leave_behind(mailbox_.release());
    leave_behind(alarm_.release());
}

// exit(3) was called within the run, and never returns to it. Whoever is suspended stays so for
// ever, and what else has static storage may still be destroyed after this, streams among it.
void loop::leave_to_exit() noexcept {
    end_residents();
    while (!ending_residents_.empty())
        leave_behind(&ending_residents_.pop_front());
    leave_all_behind();
}

scope& loop::running_scope() noexcept {
    require(root_ != nullptr, "loop::spawn was called while the loop does not run; "
                              "spawn from the task given to run");
    return *root_;
}

void loop::post(std::move_only_function<void()> call) { mailbox_->post(std::move(call)); }

void loop::stop() {
    const std::uint64_t meant = std::max<std::uint64_t>(runs_.load(std::memory_order_relaxed), 1);
    post([this, meant] {
        if (meant == runs_.load(std::memory_order_relaxed)) stopping_ = true;
    });
}

std::size_t loop::operations_in_flight() const noexcept {
    return in_flight_ - (mailbox_->in_flight() ? 1 : 0) - (alarm_->in_flight() ? 1 : 0);
}

void loop::begin_run() {
    if (lost()) ring_.enter(false); // throws
    require(!root_, "loop::run was called inside itself");
    require(!enabled_ || ring_.thread() == std::this_thread::get_id(),
            "a loop was run, or destroyed with connections left on it, by another thread than the "
            "one that ran it first");
    note_thread();
    if (!enabled_) ring_.enable();
    enabled_ = true;
    mailbox_->open();
    alarm_->open();
    runs_.fetch_add(1, std::memory_order_relaxed);
    root_ = std::make_unique<scope>(*this);
}

void loop::run_until(const bool& ended) {
    while (!ended && !stopping_ && !root_->failed())
        turn();
    end_run();
}

void loop::end_run() {
    // Waits are cancelled before connections are ended and resumed after it, so that a connection
    // is reported as ended by the loop, not as dropped by the task that was cancelled.
    root_->cancel();
    for (;;) {
        end_residents();
        if (root_->children() == 0 && ready_.empty() && ending_residents_.empty() &&
            operations_in_flight() == 0)
            break;
        turn();
    }
    mailbox_->close();
    alarm_->close();
    while (in_flight_ > 0)
        turn();
    const std::exception_ptr of_task = root_->failure();
    const std::exception_ptr of_callback = std::exchange(kept_, nullptr);
    const std::exception_ptr failure = of_callback ? of_callback : of_task;
    root_.reset();
    stopping_ = false;
    if (failure) std::rethrow_exception(failure);
}

void loop::end_residents() noexcept {
    while (!residents_.empty()) {
        resident& guest = residents_.pop_front();
        ending_residents_.push_back(guest);
        guest.loop_ends();
    }
}

void loop::keep(std::exception_ptr failure) noexcept {
    ++callback_failures_;
    const bool first = !kept_ && !(root_ && root_->failed());
    if (first) kept_ = std::move(failure);
}

void loop::reap(std::size_t silently_submitted) {
    std::size_t ended = 0;
    reaping_ = true;
    ring_.reap([&ended, this](std::uint64_t user_data, completion what) {
        auto* done = reinterpret_cast<ring_operation*>(user_data);
        if (!done) return; // was submitted unawaited
        if (!what.more()) {
            done->in_flight_ = false;
            ++ended;
        }
        if (done->silent_) [[unlikely]]
            end_silence(*done);
        done->completed(what);
    });
    in_flight_ -= ended;
    complete_silent(silently_submitted);
    reaping_ = false;
    seen_at_.reset();
}

// They were submitted before the completions were reaped, and none has told that it failed.
void loop::complete_silent(std::size_t submitted) {
    if (submitted == 0) return;
    for (std::size_t i = 0; i < submitted; ++i) {
        ring_operation* done = silent_[i]; // completing one may add others
        if (!done) continue;
        done->silent_ = false;
        done->in_flight_ = false;
        --in_flight_;
        done->completed({});
    }
    silent_.erase(silent_.begin(), silent_.begin() + static_cast<std::ptrdiff_t>(submitted));
}

void loop::end_silence(ring_operation& failed) noexcept {
    failed.silent_ = false;
    std::ranges::replace(silent_, &failed, nullptr);
}

void loop::turn() {
    const std::size_t silent = silent_.size();
    const bool wait = ready_.empty() && silent == 0;
    const auto next = timers_.next();
    if (std::exchange(alarm_wanted_, false) && next && !alarm_->covers(*next)) alarm_->set(*next);
    const bool will_ring = !next || alarm_->covers(*next);
    enter(wait, wait && !will_ring ? next : std::nullopt);
    reap(silent);
    if (!will_ring || alarm_->has_rung()) expire_timers();
    resume_ready();
}

void loop::enter(bool wait, std::optional<time_point> until) {
    try {
        ring_.enter(wait, until);
    } catch (...) {
        residents_.for_each([](resident& guest) { guest.loop_lost(); });
        ending_residents_.for_each([](resident& guest) { guest.loop_lost(); });
        throw;
    }
}

// A crowd with one deadline is served in parts, so that everybody else has a turn between them.
void loop::expire_timers() {
    const auto at = now();
    timers_.expire(at, timers_a_turn);
    const auto next = timers_.next();
    alarm_wanted_ = next && *next > at + alarm_from;
}

// One batch: what becomes ready meanwhile waits for the next turn, so that the ring is never
// starved.
void loop::resume_ready() {
    resuming_.swap(ready_);
    resuming_.resume_all();
}

} // namespace ringdown
