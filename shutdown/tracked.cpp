#include <ringdown/shutdown/tracked.hpp>

#include <algorithm>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <ringdown/net/inbox.hpp>
#include <ringdown/shutdown/delivery_sample.hpp>
#include <ringdown/shutdown/drain_run.hpp>
#include <ringdown/shutdown/ending.hpp>

namespace ringdown {

using namespace std::chrono_literals;

server::tracked::tracked(server& by, connection& served) noexcept
    : timer(by.on_.timers()), by_(by), served_(served), accepted_at_(by.on_.now()),
      progress_at_(accepted_at_) {
    ++by_.taken_;
    ++by_.open_;
    by_.tracked_.push_back(*this);
    served_->watch_idle(this);
    look_again();
}

server::tracked::~tracked() {
    served_->watch_idle(nullptr);
    --by_.open_;
    by_.connection_closed_.set();
    list_hook<tracked>::unlink();
    by_.note_progress();
}

// A few looks within the idle time, since bytes do not ring.
void server::tracked::look_again() {
    if (by_.options_.idle <= 0ns) return;
    const auto now = by_.on_.now();
    set(std::min(later(now, by_.options_.idle / 16), later(progress_at_, by_.options_.idle)));
}

std::uint64_t server::tracked::bytes_through() noexcept {
    connection& of = *served_;
    const std::uint64_t bytes = of.bytes().received + of.bytes().sent;
    return of.sends().empty() ? bytes : bytes + take_sample(of).acknowledged;
}

void server::tracked::expired() noexcept {
    if (served_->life() != life_phase::open) return;
    const auto now = by_.on_.now();
    if (const auto through = bytes_through(); through != std::exchange(through_, through))
        progress_at_ = now;
    if (now - progress_at_ >= by_.options_.idle)
        ending::begin(*served_, by_.options_.when_idle);
    else
        look_again();
}

void server::tracked::marked_idle() noexcept {
    if (by_.under_way_) by_.under_way_->marked_idle(*this);
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
