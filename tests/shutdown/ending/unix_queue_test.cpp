#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <ringdown/net/internal/state_of.hpp>
#include <ringdown/shutdown/ending/internal/acknowledgement.hpp>

#include "rig.hpp"
#include "support/fixture_system.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// What the send queue of a unix socket tells of its peer, and what it does not.

namespace {

// Linux, where something happens just before the next question for the send queue.
class interrupted_system final : public forwarding_system {
public:
    void before_next_look(std::function<void()> call) { call_ = std::move(call); }

    int ioctl(int fd, unsigned long request, int& answer) noexcept override {
        const auto call = request == SIOCOUTQ ? std::exchange(call_, {}) : nullptr;
        if (call) call();
        return forwarding_system::ioctl(fd, request, answer);
    }

private:
    std::function<void()> call_;
};

} // namespace

TEST_CASE("unix: what the peer had read before the first look is no progress, what it reads is") {
    run([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect_unix();
        const auto first = co_await ours.send(text("read before"));
        CHECK(first.bytes == 11);
        CHECK(theirs.read() == "read before");
        const auto second = co_await ours.send(text("answer"));
        CHECK(second.bytes == 6);
        {
            acknowledgement asked(state_of(ours));
            const auto now = at.on.now();
            asked.look(now + 1s);
            CHECK(asked.moved_at() == acknowledgement::time_point());
            CHECK(theirs.read() == "answer");
            asked.look(now + 2s);
            CHECK(asked.moved_at() == now + 2s);
            asked.look(now + 3s);
            CHECK(asked.moved_at() == now + 2s);
        }
        theirs.finish();
        co_await graceful_close(ours);
    });
}

// Where the kernel does not wait to be asked, a receive completes between two calls: the error is
// neither in the kernel any more, nor has anybody seen it.
TEST_CASE("delivered: a unix peer's reset is told though the completion of a receive has it") {
    interrupted_system system;
    loop_options options;
    options.calls = &system;
    options.ring.disabled.add(capability::defer_taskrun);
    run(
        [&system](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect_unix();
            const auto sent = co_await ours.send(text("never read"));
            CHECK(sent.bytes == 10);
            std::byte into[64];
            result<std::size_t> got;
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(receive_into(ours, into, got));
                co_await noop(); // the receive is in flight
                system.before_next_look([&theirs] { theirs.close(); });
                const auto delivery = co_await delivered(ours);
                REQUIRE(!delivery.has_value());
                CHECK(delivery.error() == std::errc::connection_reset);
            });
            CHECK(got.error() == std::errc::connection_reset);
            const teardown_report report = co_await graceful_close(ours);
            CHECK(report.ending == actual_ending::reset);
        },
        options);
}
