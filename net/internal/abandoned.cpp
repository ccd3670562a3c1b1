#include <ringdown/net/internal/abandoned.hpp>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/inbox.hpp>
#include <ringdown/net/internal/reset.hpp>

namespace ringdown {
namespace {

// Reset, join, close: the least that leaves nothing behind.
class bare_reset final : public pooled, public ending_driver {
public:
    static void begin(connection& left) {
        auto* begun = new bare_reset(left);
        left.set_ending(*begun);
        left.enter(life_phase::aborting);
        if (reset_now(left) < 0) reset_at_close(left);
        if (inbox* dropped = left.own_inbox()) dropped->seal();
        left.stop_sends();
        left.cancel_operations(true);
        begun->changed();
    }

    void changed() noexcept override {
        const bool open = connection_.life() == life_phase::aborting;
        // Where nothing but the close resets, a buffer that the kernel holds waits for it.
        if (open && connection_.lets_go_of_descriptor()) {
            connection_.enter(life_phase::joined);
            connection_.on().calls().close(connection_.descriptor());
        }
        // Nobody follows where nothing above net/ is linked. It may take this with it.
        if (connection_.idle()) connection_.closed([](connection_follower&) {});
    }

private:
    explicit bare_reset(connection& left) noexcept : connection_(left) {}

    connection& connection_;
};

void reset_abandoned(connection& left, abandonment) noexcept {
    if (!left.ending()) bare_reset::begin(left);
}

} // namespace

constinit abandoned_ending end_abandoned = &reset_abandoned;

} // namespace ringdown
