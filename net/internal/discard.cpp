#include <ringdown/net/internal/discard.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include <sys/socket.h>

#include <ringdown/runtime/loop.hpp>

namespace ringdown {
namespace {

constexpr std::uint64_t discard_at_once = 1 << 20;

// Where unix sockets, which cannot drop what was not copied, copy it to.
class discard_buffer final : public loop_service {
public:
    explicit discard_buffer(loop&) {}
    std::byte bytes[64 * 1024];
};

} // namespace

void prepare_discard(io_uring_sqe& sqe, connection& of, std::uint64_t allowed) noexcept {
    // The limit may be the largest number that there is; one more would be 0, which reads nothing
    // and looks like the peer's FIN.
    const std::uint64_t bytes = std::min(allowed, discard_at_once - 1) + 1;
    if (of.traits().drops_uncopied) {
        io_uring_prep_recv(&sqe, of.descriptor(), nullptr, bytes, MSG_TRUNC);
    } else {
        auto& into = of.on().service<discard_buffer>().bytes;
        io_uring_prep_recv(&sqe, of.descriptor(), into, std::min(bytes, sizeof into), 0);
    }
}

discarder::discarder(connection& of, std::uint64_t bytes_max) noexcept
    : connection_operation(of, "discard"), discarded_before_(of.bytes().discarded),
      bytes_max_(bytes_max) {}

void discarder::look() noexcept {
    connection& of = target();
    const std::uint64_t discarded = of.bytes().discarded - discarded_before_;
    if (discarded > bytes_max_) {
        end_abandoned(of, abandonment::discard_limit);
        return;
    }
    // What a receive of the application still brings is older than what is dropped.
    if (in_flight() || of.receives() || of.receiving() != receiving_phase::discarding) return;
    const std::uint64_t allowed = bytes_max_ - discarded;
    launch([&](io_uring_sqe& sqe) { prepare_discard(sqe, of, allowed); });
}

void discarder::settled(completion what) noexcept {
    connection& of = target();
    if (what.result > 0)
        of.bytes().discarded += static_cast<std::uint64_t>(what.result);
    else if (what.result == 0)
        of.note_nothing_received(what);
    else
        of.note_error(what.result);
}

} // namespace ringdown
