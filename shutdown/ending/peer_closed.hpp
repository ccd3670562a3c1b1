#pragma once

#include <cstdint>
#include <utility>

#include <ringdown/net/internal/connection_follower.hpp>
#include <ringdown/net/socket_handle.hpp>
#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/internal/awaitable_operation.hpp>
#include <ringdown/runtime/internal/waiting.hpp>

namespace ringdown {

/// How the peer ended its side.
enum class peer_end : unsigned char {
    finished, ///< FIN, behind all its data, which may still be unread.
    reset,    ///< RST.
};

/// Waits for the peer's end, which the connection's `peer_watch` sees. Made by `peer_closed` and
/// `peer_ended`.
class [[nodiscard]] peer_closed_operation final : public waiting,
                                                  public awaitable_operation<peer_closed_operation>,
                                                  private change_watcher {
public:
    enum class told : std::uint8_t {
        at_once,
        after_data,
        finished_after_data, ///< FIN behind the data, a reset at once.
    };

    peer_closed_operation(connection& watched, told when) noexcept
        : watched_(watched), when_(when) {}
    peer_closed_operation(peer_closed_operation&& other) noexcept
        : waiting(std::move(other)), awaitable_operation(), change_watcher(),
          watched_(other.watched_), when_(other.when_) {}

    result<peer_end> await_resume() const noexcept { return answer_; }

private:
    friend awaitable_operation<peer_closed_operation>;

    bool begin();
    void answer_canceled() noexcept { answer_ = std::unexpected(canceled()); }
    void cancel(cancel_reason reason) noexcept override;
    void look() noexcept override;
    void connection_ends() noexcept override;
    void wait_on();
    [[nodiscard]] bool waits_for_reading() noexcept;
    void conclude(const result<peer_end>& answer) noexcept;

    connection& watched_;
    told when_;
    bool canceled_ = false; // and waits for the poll, which may have seen the end
    std::uint32_t canceled_with_ = 0;
    result<peer_end> answer_;
};

/// Completes when the peer has ended its side or has reset, without reading; tells which.
///
/// Data that has not been read neither hides the end nor is lost by asking. May be awaited beside
/// a receive, and again after it completed.
/// Errors: `timed_out` and the like when the network gave up, `errc::ending` when the connection
/// is being ended, `operation_canceled`.
/// Cancellation: safe; an end that was seen by then is told. Source: poll(2), POLLRDHUP.
peer_closed_operation peer_closed(connected_socket& watched) noexcept;

/// Completes when the peer has ended its side, or has reset, and the application has received
/// everything that came before that; tells which.
///
/// The application goes on reading beside it; where nothing is unread, it need not read. After
/// `shutdown_receive` the data counts as received when it was dropped. A peer whose data does not
/// fit into a full window has not sent its FIN yet: only a reset can be told then.
/// Errors, cancellation: as `peer_closed`; `operation_canceled` when the connection is ended while
/// data is unread.
peer_closed_operation peer_ended(connected_socket& watched) noexcept;

} // namespace ringdown
