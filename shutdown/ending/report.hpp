#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

#include <ringdown/net/address.hpp>

namespace ringdown {

/// Who ended the connection.
enum class teardown_initiator : std::uint8_t {
    local,  ///< We did: our FIN or our reset came first.
    peer,   ///< The peer's end was seen before our FIN was issued.
    both,   ///< The FINs crossed; best effort.
    kernel, ///< The network gave up.
};

/// What asked for the ending, or what made it ungraceful, which overrides that.
enum class teardown_cause : std::uint8_t {
    application,   ///< A verb was called.
    peer_finished, ///< A verb was called after the peer's end of stream.
    drain,         ///< The server was drained.
    dropped,       ///< The stream was destroyed.
    canceled,      ///< The scope was cancelled, or the loop ended.
    peer_reset,    ///< The peer reset the connection.
    deadline,      ///< The absolute deadline passed.
    idle,          ///< No progress for the idle time.
    discard_limit, ///< The peer sent more than is discarded.
    truncated,     ///< The peer's FIN came inside a message, with answers due, or with no goodbye.
    network_timeout, ///< The kernel gave up on the network.
    error,           ///< Anything else; `error` names it.
};

/// What was asked for.
enum class requested_ending : std::uint8_t {
    graceful,
    abort,
    background,
    wait,
    none,    ///< Nobody asked: dropped or cancelled.
    release, ///< The application takes the open descriptor back.
};

/// What came of it.
enum class actual_ending : std::uint8_t {
    graceful,  ///< FIN both ways, nothing left unacknowledged.
    delivered, ///< Everything acknowledged, and FIN; the peer has not finished, or not in order:
               ///< a wait asks for no more, or its layer has said no goodbye.
    degraded,  ///< Graceful, background or wait was asked for, and needed an abort.
    aborted,   ///< Reset by us without graceful having been asked for.
    reset,     ///< Reset by the peer.
    lost,      ///< The network gave up.
    closed,    ///< A socket without a connection.
    released,  ///< Handed to the application, open; how it ends there is not the library's to tell.
};

/// Whether what was sent arrived, at the peer's kernel; nothing is known of its application.
enum class delivery_verdict : std::uint8_t {
    acknowledged,   ///< Every byte handed over, and FIN where one was sent.
    unacknowledged, ///< Not all of it; the report counts the bytes.
    unknown,        ///< No sample was possible.
};

/// The last phase that the connection reached before it was closed.
enum class teardown_phase : std::uint8_t {
    open,             ///< No FIN was asked for.
    flushing,         ///< FIN was waiting for bytes before it.
    fin_sent,         ///< FIN was sent and not acknowledged.
    fin_acknowledged, ///< FIN was acknowledged; the peer had not finished.
    finished,         ///< FIN both ways, ours acknowledged.
};

/// How one connection ended: exactly one for each, however it ended.
///
/// All verdicts come from one sample that was taken before the abort or the close.
struct teardown_report {
    /// Time from the request to end; empty for what was not reached.
    struct times {
        using duration = std::chrono::microseconds;
        std::optional<duration> flush;            ///< FIN was handed to the kernel.
        std::optional<duration> fin_acknowledged; ///< The peer's kernel acknowledged FIN.
        std::optional<duration> peer_finished;    ///< The peer's FIN; 0 if before the request.
        duration total{0};                        ///< The descriptor was closed, or handed out.
    };

    std::uint64_t connection = 0; ///< Number within the process.
    address peer;                 ///< Known even if the peer was gone at accept.
    teardown_initiator initiator = teardown_initiator::local;
    teardown_cause cause = teardown_cause::application;
    requested_ending requested = requested_ending::none;
    actual_ending ending = actual_ending::closed;
    delivery_verdict delivery = delivery_verdict::unknown;
    std::uint64_t sent_bytes = 0;   ///< Accepted by the kernel.
    std::uint64_t unsent_bytes = 0; ///< Handed to a send, never accepted by the kernel.
    /// Payload that the peer's kernel had not acknowledged; empty where no kernel tells (unix).
    std::optional<std::uint64_t> unacknowledged_bytes;
    std::uint64_t received_bytes = 0; ///< Given to the application.
    /// Received and dropped, or unread at the reset or the close, as far as the kernel tells.
    std::uint64_t discarded_bytes = 0;
    bool peer_finished = false;
    /// By the connection's state, not by having asked. Where only the close could reset, it is
    /// right if nobody else held the socket.
    bool reset_sent = false;
    bool reset_received = false;
    teardown_phase phase = teardown_phase::open;
    std::error_code error;
    times microseconds;
};

/// The names of the values, as reports are written.
/// @{
std::string_view name(teardown_initiator value) noexcept;
std::string_view name(teardown_cause value) noexcept;
std::string_view name(requested_ending value) noexcept;
std::string_view name(actual_ending value) noexcept;
std::string_view name(delivery_verdict value) noexcept;
std::string_view name(teardown_phase value) noexcept;
/// @}

} // namespace ringdown
