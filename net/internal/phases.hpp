#pragma once

#include <chrono>
#include <cstdint>

namespace ringdown {

/// The sending direction of a connection.
enum class sending_phase : std::uint8_t {
    open,             ///< The application may send.
    flushing,         ///< FIN was asked for and follows the last queued byte.
    fin_sent,         ///< FIN was handed to the kernel.
    fin_acknowledged, ///< The peer's kernel has acknowledged every byte and FIN.
};

/// The receiving direction of a connection.
enum class receiving_phase : std::uint8_t {
    open,       ///< The application may receive.
    discarding, ///< The application receives no more; what arrives is dropped.
    finished,   ///< The peer's FIN was received, behind every byte before it.
    reset,      ///< The peer reset the connection, or the network lost it, before any FIN.
};

/// What the application was told of the end of the peer's stream, behind every byte before it.
enum class told_end : std::uint8_t {
    none,
    whole,
    truncated, ///< It came while more was expected: inside a message, or with answers due.
};

/// The life of a connection as a whole.
enum class life_phase : std::uint8_t {
    open,     ///< Operations may be started.
    ending,   ///< Sealed; flushing and discarding.
    aborting, ///< Reset; operations in flight come back by themselves.
    joined,   ///< No operation is in flight; the descriptor can be closed.
    closed,   ///< The descriptor is closed or handed out, and the report made.
};

/// What an ending leaves to the application until it is let go: a conversation that has answers due
/// is not over when its end is asked for.
enum class allowance : std::uint8_t {
    nothing,   ///< Nothing new is started.
    answers,   ///< Sending: FIN waits for answers that are owed.
    receiving, ///< Receiving: answers are awaited, behind a FIN that was sent already.
};

/// Which side's end of the connection was seen first.
enum class first_end : std::uint8_t { none, local, peer };

/// What becomes of a connection whose stream is destroyed while it is open.
enum class drop_action : std::uint8_t {
    abort,  ///< RST: a FIN after a truncated answer would look complete to the peer.
    finish, ///< A graceful ending in the background.
};

/// The same, and how long it may take.
struct drop_policy {
    drop_action action = drop_action::abort;
    std::chrono::nanoseconds within{0}; ///< Deadline of `drop_action::finish`.
};

constexpr bool legal(sending_phase from, sending_phase to) noexcept {
    return static_cast<int>(to) == static_cast<int>(from) + 1;
}

constexpr bool legal(receiving_phase from, receiving_phase to) noexcept {
    using enum receiving_phase;
    if (from == open) return to != open;
    return from == discarding && (to == finished || to == reset);
}

constexpr bool legal(life_phase from, life_phase to) noexcept {
    using enum life_phase;
    switch (from) {
    case open:
        return to == ending || to == aborting;
    case ending:
        return to == aborting || to == joined;
    case aborting:
        return to == joined;
    case joined:
        return to == closed;
    case closed:
        return false;
    }
    return false;
}

} // namespace ringdown
