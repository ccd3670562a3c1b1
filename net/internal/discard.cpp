#include <ringdown/net/internal/discard.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include <sys/socket.h>

#include <ringdown/runtime/loop.hpp>

namespace ringdown {
namespace {

// Where unix sockets, which cannot drop what was not copied, copy it to.
class discard_buffer final : public loop_service {
public:
    explicit discard_buffer(loop&) {}
    std::byte bytes[64 * 1024];
};

} // namespace

void prepare_discard(io_uring_sqe& sqe, connection& connection, std::uint64_t allowed) noexcept {
    // The limit may be the largest number that there is; one more would be 0, which reads nothing
    // and looks like the peer's FIN.
    const std::uint64_t bytes = std::min(allowed, discard_at_once - 1) + 1;
    if (connection.traits().drops_uncopied) {
        io_uring_prep_recv(&sqe, connection.descriptor(), nullptr, bytes, MSG_TRUNC);
    } else {
        auto& into = connection.on().service<discard_buffer>().bytes;
        io_uring_prep_recv(&sqe, connection.descriptor(), into, std::min(bytes, sizeof into), 0);
    }
}

discarder::discarder(connection& connection, std::uint64_t bytes_max) noexcept
    : connection_operation(connection, "discard"), discarded_before_(connection.bytes().discarded),
      bytes_max_(bytes_max) {}

void discarder::look() noexcept {
    connection& connection = target();
    const std::uint64_t discarded = connection.bytes().discarded - discarded_before_;
    if (discarded > bytes_max_) {
        end_abandoned(connection, abandonment::discard_limit);
        return;
    }
    // What a receive of the application still brings is older than what is dropped.
    if (in_flight() || connection.receives() ||
        connection.receiving() != receiving_phase::discarding)
        return;
    const std::uint64_t allowed = bytes_max_ - discarded;
    launch([&](io_uring_sqe& sqe) { prepare_discard(sqe, connection, allowed); });
}

void discarder::settled(completion what) noexcept {
    connection& connection = target();
    if (what.result > 0)
        connection.bytes().discarded += static_cast<std::uint64_t>(what.result);
    else if (what.result == 0)
        connection.note_nothing_received(what);
    else
        connection.note_error(what.result);
}

} // namespace ringdown
