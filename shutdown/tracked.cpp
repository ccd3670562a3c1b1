#include <ringdown/shutdown/tracked.hpp>

#include <algorithm>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <ringdown/net/inbox.hpp>
#include <ringdown/shutdown/delivery_sample.hpp>
#include <ringdown/shutdown/drain_run.hpp>
#include <ringdown/shutdown/ending.hpp>
#include <ringdown/shutdown/looks.hpp>

namespace ringdown {

using namespace std::chrono_literals;

server::tracked& server::tracked::make(server& by, connection& served,
                                       loop::time_point accepted_at) {
    if (by.options_.idle > 0ns) return *new tracked_to_idle(by, served, accepted_at);
    return *new tracked(by, served, accepted_at);
}

server::tracked::tracked(server& by, connection& served, loop::time_point accepted_at) noexcept
    : by_(by), served_(served), accepted_at_(accepted_at) {
    ++by_.taken_;
    ++by_.open_;
    by_.tracked_.push_back(*this);
    served_->watch_idle(this);
}

server::tracked::~tracked() {
    served_->watch_idle(nullptr);
    --by_.open_;
    by_.connection_closed_.set();
    list_hook<tracked>::unlink();
    by_.note_progress();
}

void server::tracked::child_finished(std::coroutine_handle<> handler,
                                     std::exception_ptr failure) noexcept {
    handler.destroy();
    scope& inside = *by_.handlers_; // a drain that found a connection waiting runs no handler
    if (failure || served_->life() != life_phase::closed) {
        inside.spawn(by_.conclude(*this, std::move(failure))); // and may be over with this
        inside.leave();
        return;
    }
    // Most handlers have waited for the end themselves, so no task has to.
    handled();
    by_.report(std::unique_ptr<tracked>(this));
    inside.leave();
}

void server::tracked::marked_idle() noexcept {
    if (by_.under_way_) by_.under_way_->marked_idle(*this);
}

server::tracked_to_idle::tracked_to_idle(server& by, connection& served,
                                         loop::time_point accepted_at)
    : tracked(by, served, accepted_at), timer(by.on_.timers()), progress_at_(accepted_at) {
    look_again();
}

// A few looks within the idle time, since bytes do not ring.
void server::tracked_to_idle::look_again() {
    const auto idle = by().options_.idle;
    const auto apart = std::max<std::chrono::nanoseconds>(idle / 16, 1ms);
    const auto next = together(by().on_.now() + apart / 2, apart);
    set(std::min(next, later(progress_at_, idle)));
}

// Changes with every byte received, accepted by the kernel, acknowledged, or (unix) read.
std::uint64_t server::tracked_to_idle::bytes_through() noexcept {
    connection& of = served();
    if (acknowledged_ < of.bytes().sent || !of.sends().empty()) {
        const delivery_sample sample = take_sample(of);
        queued_ = sample.queued;
        acknowledged_ = of.from().kind == connection_kind::tcp ? sample.acknowledged
                                                               : of.bytes().sent - (queued_ > 0);
    }
    return of.bytes().received + of.bytes().sent + acknowledged_ - queued_;
}

void server::tracked_to_idle::expired() noexcept {
    connection& of = served();
    if (of.life() != life_phase::open) return;
    const auto now = of.on().now();
    const auto through = bytes_through();
    if (through != std::exchange(through_, through) || of.requests_in_progress())
        progress_at_ = now;
    if (now - progress_at_ >= by().options_.idle)
        end_idle();
    else
        look_again();
}

void server::tracked_to_idle::end_idle() {
    ending_request how = by().options_.when_idle;
    // A graceful end was asked for by whoever chose the idle time; a reset was made by it.
    if (how.requested == requested_ending::abort) how.cause = teardown_cause::idle;
    ending::begin(served(), how);
}

// A request that has arrived waits in the kernel, or in a completion that nobody has seen, or in
// the inbox, or with the handler's receive, which then has taken the mark away.
server::tracked::idleness server::tracked::look(loop::time_point grown_up_at) noexcept {
    connection& of = *served_;
    loop& on = of.on();
    if (of.life() != life_phase::open || !of.marked_idle()) return idleness::busy;
    int arrived = 0;
    if (on.calls().ioctl(of.descriptor(), SIOCINQ, arrived) >= 0 && arrived > 0)
        return idleness::busy;
    if (on.own_ring().has_completions()) on.reap();
    if (of.life() != life_phase::open || !of.marked_idle()) return idleness::busy;
    if (of.own_inbox() && of.own_inbox()->holds_data()) return idleness::busy;
    const bool silent = of.bytes().received == 0 && of.receiving() == receiving_phase::open;
    return silent && on.now() < grown_up_at ? idleness::young : idleness::idle;
}

} // namespace ringdown
