#include <ringdown/net/internal/discard.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/layered.hpp>
#include <ringdown/net/internal/message_receive.hpp>

namespace ringdown {
namespace {

// The most that one receive drops, so that a peer which never pauses does not keep the loop.
constexpr std::uint64_t discard_at_once = 1 << 20;
// And the most of these in place.
constexpr int discards_at_the_close = 64;

// Where unix sockets, which cannot drop what was not copied, copy it to.
class discard_buffer final : public loop_service {
public:
    explicit discard_buffer(loop&) {}
    std::byte bytes[64 * 1024];
};

} // namespace

discarder::discarder(connection& connection) noexcept
    : connection_operation(connection, "discard") {
    if (connection.traits().keeps_messages) message_ = std::make_unique<msghdr>();
}

void discarder::set_limit(std::uint64_t bytes_max) noexcept {
    counts_from_ = count_of_cap();
    bytes_max_ = bytes_max;
}

void discarder::set_free(bool free) noexcept {
    counts_from_ = count_of_cap();
    free_ = free;
}

// Above a layer the cap is of what comes over the wire: records can be empty.
std::uint64_t discarder::count_of_cap() const noexcept {
    return target().own_layer() ? target().wire_received() : target().bytes().discarded;
}

std::uint64_t discarder::counted() const noexcept { return count_of_cap() - counts_from_; }

void discarder::look() noexcept {
    if (over_limit())
        end_abandoned(target(), abandonment::discard_limit);
    else if (!error_)
        step();
}

void discarder::step() {
    // What a receive of the application still brings is older than what is dropped.
    if (in_flight() || target().receives() || target().receiving() != receiving_phase::discarding)
        return;
    if (const layered* beneath = target().own_layer(); beneath && !beneath->hears()) return;
    launch([this](io_uring_sqe& sqe) { prepare(sqe); });
}

// As much as may still be dropped and one byte more, so that the cap shows, without copying it
// where the socket can.
void discarder::prepare(io_uring_sqe& sqe) noexcept {
    const int fd = target().descriptor();
    if (message_) {
        io_uring_prep_recvmsg(&sqe, fd, message_.get(), MSG_TRUNC);
        return;
    }
    // The cap may be the largest number that there is; one more would be 0, which reads nothing and
    // looks like the peer's FIN.
    const std::uint64_t allowed = free_ ? discard_at_once : bytes_max_ - counted();
    const std::uint64_t bytes = std::min(allowed, discard_at_once) + 1;
    if (layered* beneath = target().own_layer()) {
        const auto into = beneath->discard_buffer();
        io_uring_prep_recv(&sqe, fd, into.data(), std::min(bytes, into.size()), 0);
    } else if (target().traits().drops_uncopied) {
        io_uring_prep_recv(&sqe, fd, nullptr, bytes, MSG_TRUNC);
    } else {
        auto& into = ring_loop().service<discard_buffer>().bytes;
        io_uring_prep_recv(&sqe, fd, into, std::min(bytes, sizeof into), 0);
    }
}

// Bytes of the wire, of which a layer knows how many were the application's.
void discarder::dropped(std::uint64_t bytes) noexcept {
    layered* beneath = target().own_layer();
    count(beneath ? beneath->discard(bytes) : bytes);
}

void discarder::count(std::uint64_t bytes) noexcept {
    target().bytes().discarded += bytes;
    // An empty message counts, and a layer's record without bytes of the application does not.
    dropped_any_ = dropped_any_ || bytes > 0 || message_;
    dropped_at_ = ring_loop().seen_at();
}

void discarder::settled(completion what) noexcept {
    connection& connection = target();
    const bool any = message_ ? holds_message(what.result, *message_) : what.result > 0;
    if (any) {
        dropped(static_cast<std::uint64_t>(what.result));
    } else if (what.result == 0) {
        connection.note_nothing_received(what);
        const bool ended = connection.end_errno() == 0 && connection.life() < life_phase::aborting;
        // With bytes dropped, nobody knows whether the message that they belong to was whole.
        if (ended && !dropped_any_) connection.note_end_told();
    } else if (what.result != -ECANCELED && what.result != -EINTR) {
        connection.note_error(what.result);
        if (connection.end_errno() == 0 && !stopped_) error_ = system_error(what.result);
    }
}

int discarder::receive_now() noexcept {
    system_calls& calls = ring_loop().calls();
    const int fd = target().descriptor();
    if (layered* beneath = target().own_layer()) {
        const auto into = beneath->discard_buffer();
        return calls.recv(fd, into.data(), into.size(), MSG_DONTWAIT);
    }
    return calls.recv(fd, nullptr, discard_at_once, MSG_TRUNC | MSG_DONTWAIT);
}

void discarder::drop_now() noexcept {
    for (int left = discards_at_the_close; left > 0; --left) {
        const int bytes = receive_now();
        if (bytes == 0) target().note_end_of_stream();
        if (bytes < 0) target().note_error(bytes);
        if (bytes <= 0) return;
        dropped(static_cast<std::uint64_t>(bytes));
        if (over_limit()) return;
    }
}

} // namespace ringdown
