#include <ringdown/shutdown/ending/internal/closing.hpp>

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <ringdown/net/internal/peer_name.hpp>
#include <ringdown/net/internal/reset.hpp>
#include <ringdown/net/internal/tcp_state.hpp>

namespace ringdown {
namespace {

// Ahead of the close, with the same submission: nobody need wait for the answer.
void ask_peer_name(connection& connection) {
    if (connection.knows_peer()) return;
    if (!connection.on().has(capability::socket_option_commands)) {
        connection.learn_peer();
        return;
    }
    operations::peer_name name{connection.descriptor(), connection.ipv6(), nullptr};
    name.into = connection.await_peer(name.bytes()); // nobody is told how long it was
    connection.on().submit_unawaited([&](io_uring_sqe& sqe) { name.prepare(sqe); });
}

} // namespace

std::uint64_t unread_bytes(connection& connection) noexcept {
    int bytes = 0;
    connection.on().calls().ioctl(connection.descriptor(), SIOCINQ, bytes); // refused: none
    return static_cast<std::uint64_t>(bytes);
}

closing::closing(connection& connection) noexcept
    : connection_(connection), close_(connection, "close", *this, &closing::closed) {}

bool closing::reset() noexcept {
    if (reset_now(connection_) == 0) return true;
    // The close resets as well, but only when nothing in flight holds the socket any more.
    resets_ = true;
    refused_ = -reset_at_close(connection_);
    return false;
}

bool closing::may_begin() const noexcept {
    return resets_ ? connection_.lets_go_of_descriptor() : connection_.idle();
}

void closing::close() {
    ask_peer_name(connection_);
    connection_.enter(life_phase::joined);
    close_.launch_silently(
        [&](io_uring_sqe& sqe) { io_uring_prep_close(&sqe, connection_.descriptor()); });
}

void closing::leave_open() {
    ask_peer_name(connection_);
    connection_.enter(life_phase::joined);
    close_.launch_silently([](io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); });
}

void closing::forget_linger() noexcept {
    if (resets_ || !connection_.linger_set()) return;
    const linger off{};
    connection_.on().calls().setsockopt(connection_.descriptor(), SOL_SOCKET, SO_LINGER, &off,
                                        sizeof off);
}

void closing::close_in_place() noexcept {
    connection_.enter(life_phase::joined);
    const std::uint64_t bytes = unread_bytes(connection_);
    connection_.note_lost_unread(bytes);
    system_calls& calls = connection_.on().calls();
    reset_by_unread_ = bytes > 0 && !tcp_info_of(calls, connection_.descriptor()).gone();
    closed({calls.close(connection_.descriptor()), 0});
}

void closing::count_unread() noexcept {
    const std::uint64_t bytes = unread_bytes(connection_);
    connection_.note_lost_unread(bytes);
    reset_by_unread_ = resets_ && bytes > 0;
}

void closing::closed(completion what) noexcept { error_ = system_error(what.result); }

std::error_code closing::error() const noexcept {
    return !error_ && resets_ ? system_error(-refused_) : error_;
}

void closing::hand_out() noexcept {
    left_ = unique_descriptor(connection_.descriptor(), connection_.on().calls());
}

} // namespace ringdown
