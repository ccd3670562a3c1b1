#pragma once

#include <coroutine>

#include <ringdown/net/connection_operation.hpp>
#include <ringdown/net/socket_handle.hpp>
#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/waiting.hpp>

namespace ringdown {

/// How the peer ended its side.
enum class peer_end : unsigned char {
    finished, ///< FIN, behind all its data, which may still be unread.
    reset,    ///< RST.
};

/// Waits for the peer's end. Made by `peer_closed`.
class [[nodiscard]] peer_closed_operation final : public connection_operation, public waiting {
public:
    explicit peer_closed_operation(connection& watched) noexcept
        : connection_operation(watched, "poll"), waiting(watched.on()) {}

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
        if (!suspend(task, task.promise().governing())) {
            answer_ = std::unexpected(canceled());
            return false;
        }
        return begin();
    }
    result<peer_end> await_resume() const noexcept { return answer_; }

private:
    bool begin();
    void settled(completion what) noexcept override;
    void cancel(cancel_reason reason) noexcept override;

    result<peer_end> answer_;
};

/// Completes when the peer has ended its side or has reset, without reading; tells which.
///
/// Data that has not been read neither hides the end nor is lost by asking. May be awaited beside
/// a receive, and again after it completed.
/// Errors: `timed_out` and the like when the network gave up, `errc::ending` when the connection
/// is being ended, `operation_canceled`.
/// Cancellation: safe. Source: poll(2), POLLRDHUP.
inline peer_closed_operation peer_closed(connected_socket& watched) noexcept {
    return peer_closed_operation(watched.connection_of());
}

} // namespace ringdown
