#include <ringdown/shutdown/server/internal/idle_limit.hpp>

#include <algorithm>
#include <utility>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <ringdown/net/internal/inbox.hpp>
#include <ringdown/shutdown/ending/internal/ending.hpp>
#include <ringdown/shutdown/ending/internal/looks.hpp>
#include <ringdown/shutdown/ending/internal/sampling.hpp>

namespace ringdown {

using namespace std::chrono_literals;

namespace {

// So that in the sum of both a byte that waits weighs differently from one that was received.
constexpr std::uint64_t unlike_bytes = 0x9E3779B1;

} // namespace

idle_limit::idle_limit(connection& watched, const handler_mark& mark,
                       const ending_request& when_idle, std::chrono::nanoseconds time)
    : timer(watched.on().timers()), watched_(watched), mark_(mark), when_idle_(when_idle),
      time_(time), moved_at_(watched.on().now()) {
    (void)moved(); // what has moved before is no movement
    look_again();
}

// A few looks within the idle time, since bytes do not ring.
void idle_limit::look_again() {
    const auto apart = std::max<std::chrono::nanoseconds>(time_ / 16, 1ms);
    const auto next = together(watched_.on().now() + apart / 2, apart);
    set(std::min(next, later(moved_at_, time_)));
}

void idle_limit::expired() noexcept {
    if (watched_.life() != life_phase::open) return;
    const auto now = watched_.on().now();
    if (moved() || mark_.answering()) moved_at_ = now;
    if (now - moved_at_ >= time_) {
        if (!arrives()) {
            if (watched_.life() == life_phase::open) end();
            return;
        }
        moved_at_ = now;
    }
    look_again();
}

// The sum changes with every byte that moves, also when one that waited is received.
bool idle_limit::moved() noexcept {
    connection& connection = watched_;
    std::uint64_t queued = 0; // unix: as memory
    const std::uint64_t sent = connection.wire_sent();
    if (acknowledged_ < sent || !connection.all_sent()) {
        const delivery_sample sample = take_sample(connection);
        queued = sample.queued;
        acknowledged_ =
            connection.traits().counts_acknowledgements ? sample.acknowledged : sent - (queued > 0);
    }
    const std::uint64_t through = connection.wire_received() + sent + acknowledged_ - queued;
    // While nothing receives, what arrives is seen in the kernel only.
    unread_ = connection.receives() ? 0 : connection.waits_in_kernel();
    auto waiting = static_cast<std::uint64_t>(unread_);
    if (const inbox* arrived = connection.own_inbox()) waiting += arrived->queued();
    const auto low_half = static_cast<std::uint32_t>(through + waiting * unlike_bytes);
    return std::exchange(through_, low_half) != low_half;
}

// Before the end: bytes that the kernel holds, or that are in a completion nobody has seen. True
// when there are more than before.
bool idle_limit::arrives() noexcept {
    loop& loop = watched_.on();
    const int unread = watched_.waits_in_kernel();
    const bool more = unread != std::exchange(unread_, unread);
    if (loop.own_ring().has_completions()) loop.reap();
    return watched_.life() == life_phase::open && (more || moved());
}

// FIN may only follow what is whole: nothing is on its way out, no part of a request is here, and
// the handler says that it waits for one, or has never had any.
bool idle_limit::is_idle() noexcept {
    connection& connection = watched_;
    const bool arrived =
        unread_ > 0 || (connection.own_inbox() && connection.own_inbox()->holds_data());
    if (arrived || !connection.all_sent() || connection.cut_short()) return false;
    const byte_counts& bytes = connection.bytes();
    if (mark_.idle(bytes)) return true;
    return bytes.received == 0 && bytes.discarded == 0 && bytes.handed == 0;
}

void idle_limit::end() {
    ending_request how = when_idle_;
    if (!is_idle()) how = {plans::abort, teardown_cause::idle, {}};
    how.cause = teardown_cause::idle;
    ending::begin(watched_, how);
}

} // namespace ringdown
