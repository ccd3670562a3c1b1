#include <ringdown/shutdown/session/session.hpp>

namespace ringdown {
namespace {

// The state is kept by these, so that a session may go while somebody waits for it.

task<result<std::optional<session_event>>> next_event_of(session_ref of) {
    loop& on = of->connection_of().on();
    for (;;) {
        if (const auto next = of->next_event()) co_return next;
        if (of->phase() == session_phase::completed) co_return std::nullopt;
        const auto waited = co_await of->event_arrived().wait(on);
        if (!waited) co_return std::unexpected(waited.error());
    }
}

task<result<session_peer_end>> peer_end_of(session_ref of) {
    const auto waited = co_await of->peer_end_known().wait(of->connection_of().on());
    if (!waited) co_return std::unexpected(waited.error());
    co_return of->end_of_peer();
}

task<result<session_report>> completion_of(session_ref of) {
    const auto waited = co_await of->completed().wait(of->connection_of().on());
    if (!waited) co_return std::unexpected(waited.error());
    co_return of->report();
}

task<session_report> joined(session_ref of) {
    co_await of->completed().join(of->connection_of().on());
    co_return of->report();
}

task<void> watch_peer_of(session_ref of) {
    connection& over = of->connection_of();
    peer_closed_operation seen(over, peer_closed_operation::told::at_once);
    auto end = co_await seen;
    if (end == peer_end::finished) {
        peer_closed_operation received(over, peer_closed_operation::told::finished_after_data);
        end = co_await received;
    }
    if (end == peer_end::finished)
        of->note_finished();
    else if (over.end_errno() != 0)
        of->note_end(over.error_of(-over.end_errno()));
}

} // namespace

session::session(stream over, session_role role, const session_policy& when_peer_ends)
    : state_(*new session_state(std::move(over), role, when_peer_ends)) {}

session& session::operator=(session&& other) noexcept {
    if (this != &other) {
        if (state_) state_->dispose();
        state_ = std::move(other.state_);
    }
    return *this;
}

session::~session() {
    if (state_) state_->dispose();
}

result<request> session::begin_request() {
    if (const auto refused = shared()->begin_request()) return std::unexpected(refused);
    return request(state_, state_->report().requests);
}

bool session::begin_shutdown(const session_policy& policy) {
    return shared()->begin_shutdown(policy);
}

task<result<std::optional<session_event>>> session::next_event() { return next_event_of(shared()); }

task<result<session_peer_end>> session::peer_ended() { return peer_end_of(shared()); }

task<result<session_report>> session::completed() { return completion_of(shared()); }

task<session_report> session::join() { return joined(shared()); }

task<void> session::watch_peer() { return watch_peer_of(shared()); }

} // namespace ringdown
