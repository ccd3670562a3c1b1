#include <ringdown/net/internal/abandoned.hpp>

#include <sys/socket.h>

#include <ringdown/net/connection.hpp>
#include <ringdown/net/internal/inbox.hpp>

namespace ringdown {
namespace {

// Reset, join, close: the least that leaves nothing behind.
class bare_reset final : public pooled, public ending_driver {
public:
    static void begin(connection& left) {
        auto* begun = new bare_reset(left);
        left.set_ending(*begun);
        left.enter(life_phase::aborting);
        begun->reset();
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
        if (connection_.idle()) connection_.closed(); // which may take this with it
    }

    const address& peer() const noexcept override { return unknown_; }

private:
    explicit bare_reset(connection& left) noexcept : connection_(left) {}

    void reset() noexcept {
        system_calls& calls = connection_.on().calls();
        const int fd = connection_.descriptor();
        const sockaddr unspecified{.sa_family = AF_UNSPEC, .sa_data = {}};
        if (connection_.traits().resets_on_demand) {
            calls.connect(fd, &unspecified, sizeof unspecified);
        } else if (connection_.traits().has_peer) {
            calls.shutdown(fd, SHUT_RDWR);
        }
        // Where that is refused, the close resets.
        const linger by_reset{.l_onoff = 1, .l_linger = 0};
        calls.setsockopt(fd, SOL_SOCKET, SO_LINGER, &by_reset, sizeof by_reset);
    }

    connection& connection_;
    address unknown_;
};

void reset_abandoned(connection& left, abandonment) noexcept {
    if (!left.ending()) bare_reset::begin(left);
}

} // namespace

constinit abandoned_ending end_abandoned = &reset_abandoned;

} // namespace ringdown
