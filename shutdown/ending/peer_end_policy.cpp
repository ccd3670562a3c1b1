#include <ringdown/shutdown/ending/peer_end_policy.hpp>

#include <memory>
#include <utility>

#include <ringdown/net/internal/peer_watch.hpp>
#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>

namespace ringdown {
namespace {

// What `when_peer_ends` has chosen.
class chosen_at_peer_end final : public pooled, public change_watcher {
public:
    explicit chosen_at_peer_end(connection& connection) noexcept : connection_(connection) {}

    void choose(const peer_end_policy& policy) {
        const bool wants = policy.does != peer_end_policy::action::leave;
        if (wants != std::exchange(wants_, wants)) {
            peer_watch& watch = connection_.make_peer_watch();
            wants ? watch.join() : static_cast<void>(watch.leave());
        }
        policy_ = policy;
        look();
    }

private:
    void look() noexcept override {
        if (policy_.does == peer_end_policy::action::leave) return;
        peer_watch& watch = connection_.make_peer_watch();
        if (!watch.end_is_known()) {
            watch.look_for_end();
            return;
        }
        if (policy_.data == peer_end_policy::unread::receive_first && connection_.has_unread())
            return;
        const bool finish = policy_.does == peer_end_policy::action::finish;
        ending::begin(connection_, {finish ? plans::graceful : plans::abort,
                                    teardown_cause::peer_finished, policy_.ending});
    }

    void connection_ends() noexcept override {} // the watch is stopped with everything else

    connection& connection_;
    peer_end_policy policy_;
    bool wants_ = false;
};

} // namespace

void when_peer_ends(stream& stream, const peer_end_policy& policy) {
    connection& watched = state_of(stream);
    if (watched.life() != life_phase::open) return;
    if (!watched.at_peer_end()) {
        if (policy.does == peer_end_policy::action::leave) return;
        watched.set_at_peer_end(std::make_unique<chosen_at_peer_end>(watched));
    }
    static_cast<chosen_at_peer_end&>(*watched.at_peer_end()).choose(policy);
}

} // namespace ringdown
