#include <ringdown/shutdown/server/internal/tracked.hpp>

#include <ringdown/net/internal/inbox.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>
#include <ringdown/shutdown/server/internal/drain_run.hpp>

namespace ringdown {

using namespace std::chrono_literals;

server::tracked::tracked(server& server, connection& served, loop::time_point accepted_at)
    : by_(server), served_(served), accepted_at_(accepted_at) {
    if (server.options_.idle > 0ns) set_idle(server.options_.idle);
    ++by_.taken_;
    ++by_.open_;
    by_.tracked_.push_back(*this);
    served_->follow(*this);
}

server::tracked::~tracked() {
    served_->unfollow(*this);
    --by_.open_;
    by_.connection_closed_.set();
    list_hook<tracked>::unlink();
    by_.note_progress();
}

void server::tracked::child_finished(std::coroutine_handle<> handler,
                                     std::exception_ptr failure) noexcept {
    handler.destroy();
    scope& inside = *by_.handlers_; // a drain that found a connection waiting runs no handler
    if (failure || !reported_) {
        inside.spawn(by_.conclude(*this, std::move(failure))); // and may be over with this
        inside.leave();
        return;
    }
    // Most handlers have waited for the end themselves, so no task has to.
    handled();
    by_.report(std::unique_ptr<tracked>(this));
    inside.leave();
}

void server::tracked::mark_idle(bool idle) noexcept {
    mark_.set_idle(idle, served_->bytes());
    if (idle && by_.under_way_) by_.under_way_->marked_idle(*this);
}

bool server::tracked::set_idle(std::chrono::nanoseconds time) {
    limit_.reset();
    if (time > 0ns)
        limit_ = std::make_unique<idle_limit>(*served_, mark_, by_.options_.when_idle, time);
    return true;
}

// A request that has arrived waits in the kernel, or in a completion that nobody has seen, or in
// the inbox, or with the handler's receive, which then has taken the mark away.
server::tracked::idleness server::tracked::look(loop::time_point grown_up_at) noexcept {
    connection& connection = *served_;
    loop& loop = connection.on();
    if (connection.life() != life_phase::open || !marked_idle()) return idleness::busy;
    if (connection.waits_in_kernel() > 0) return idleness::busy;
    if (loop.own_ring().has_completions()) loop.reap();
    if (connection.life() != life_phase::open || !marked_idle()) return idleness::busy;
    if (connection.own_inbox() && connection.own_inbox()->holds_data()) return idleness::busy;
    const bool silent =
        connection.bytes().received == 0 && connection.receiving() == receiving_phase::open;
    return silent && loop.now() < grown_up_at ? idleness::young : idleness::idle;
}

} // namespace ringdown
