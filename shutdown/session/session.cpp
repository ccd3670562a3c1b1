#include <ringdown/shutdown/session/session.hpp>

#include <ringdown/shutdown/session/internal/session_access.hpp>

namespace ringdown {
namespace {

// The state is kept by these, so that a session may go while somebody waits for it.

task<result<std::optional<session_event>>> next_event_of(session_ref session) {
    for (;;) {
        if (const auto next = session->next_event()) co_return next;
        if (session->phase() == session_phase::completed) co_return std::nullopt;
        const auto waited = co_await session->event_arrived().wait();
        if (!waited) co_return std::unexpected(waited.error());
    }
}

task<result<session_peer_end>> peer_end_of(session_ref session) {
    const auto waited = co_await session->peer_end_known().wait();
    if (!waited) co_return std::unexpected(waited.error());
    co_return session->end_of_peer();
}

task<result<session_report>> completion_of(session_ref session) {
    const auto waited = co_await session->completed().wait();
    if (!waited) co_return std::unexpected(waited.error());
    co_return session->report();
}

task<session_report> joined(session_ref session) {
    co_await session->completed().join();
    co_return session->report();
}

task<void> watch_peer_of(session_ref session) {
    connection& connection = session->connection_of();
    peer_closed_operation seen(connection, peer_closed_operation::told::at_once);
    auto end = co_await seen;
    if (end == peer_end::finished) {
        peer_closed_operation received(connection,
                                       peer_closed_operation::told::finished_after_data);
        end = co_await received;
    }
    if (end == peer_end::finished)
        session->note_finished();
    else if (connection.end_errno() != 0)
        session->note_end(connection.error_of(-connection.end_errno()));
}

} // namespace

session::session(stream stream, session_role role, const session_policy& when_peer_ends)
    : state_(*new session_state(std::move(stream), role, when_peer_ends)) {}

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

peer_closed_operation peer_closed(session& watched) noexcept {
    return {state_of(watched), peer_closed_operation::told::at_once};
}

task<void> session::watch_peer() { return watch_peer_of(shared()); }

} // namespace ringdown
