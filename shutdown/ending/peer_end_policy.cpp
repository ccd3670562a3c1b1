#include <ringdown/shutdown/ending/peer_end_policy.hpp>

#include <memory>

#include <poll.h>

#include <ringdown/net/internal/connection_operation.hpp>
#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>
#include <ringdown/shutdown/ending/internal/sampling.hpp>

namespace ringdown {
namespace {

class peer_end_watch final : public pooled, public change_watcher, public connection_operation {
public:
    explicit peer_end_watch(connection& connection) noexcept
        : connection_operation(connection, "poll") {}

    void choose(const peer_end_policy& policy) {
        policy_ = policy;
        if (policy.does == peer_end_policy::action::leave)
            request_cancel();
        else
            look();
    }

private:
    void poll() {
        if (in_flight() || seen_) return;
        launch([this](io_uring_sqe& sqe) {
            io_uring_prep_poll_add(&sqe, target().descriptor(), POLLRDHUP);
        });
    }

    void settled(completion what) noexcept override {
        connection& connection = target();
        if (connection.life() != life_phase::open) return;
        seen_ = what.result > 0;
        if (!seen_) return;
        error_due_ = (what.result & POLLERR) != 0;
        connection.note_end_seen();
    }

    // Comes right after `settled`, and whenever something was received.
    void look() noexcept override {
        connection& connection = target();
        if (policy_.does == peer_end_policy::action::leave) return;
        if (!seen_) {
            poll(); // it was cancelled by a choice that no longer holds
            return;
        }
        if (error_due_ && !error_is_known(connection)) return;
        if (policy_.data == peer_end_policy::unread::receive_first && connection.has_unread())
            return;
        const bool finish = policy_.does == peer_end_policy::action::finish;
        ending::begin(connection, {finish ? plans::graceful : plans::abort,
                                   teardown_cause::peer_finished, policy_.ending});
    }

    void connection_ends() noexcept override {} // the poll is cancelled with everything else

    peer_end_policy policy_;
    bool seen_ = false;
    bool error_due_ = false;
};

} // namespace

void when_peer_ends(stream& stream, const peer_end_policy& policy) {
    connection& watched = state_of(stream);
    if (watched.life() != life_phase::open) return;
    if (!watched.at_peer_end()) {
        if (policy.does == peer_end_policy::action::leave) return;
        watched.set_at_peer_end(std::make_unique<peer_end_watch>(watched));
    }
    static_cast<peer_end_watch&>(*watched.at_peer_end()).choose(policy);
}

} // namespace ringdown
