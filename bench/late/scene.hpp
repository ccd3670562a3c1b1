#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

// Crowds of connections that a server ends, and when each of their peers saw it.
namespace bench {

using moment = std::chrono::steady_clock::time_point; // CLOCK_MONOTONIC, the same in both processes

/// Who is connected when the ending begins.
struct scene {
    const char* name;
    const char* title;
    std::size_t stuck;     ///< Read nothing: the server has bytes to send, and no room for them.
    std::size_t silent;    ///< Idle; get FIN and never answer it.
    std::size_t answering; ///< Idle; answer FIN.
    std::chrono::milliseconds within; ///< From the asking to the deadline.

    [[nodiscard]] std::size_t all() const { return stuck + silent + answering; }
    /// Those that are reset at the deadline.
    [[nodiscard]] std::size_t reset() const { return stuck + silent; }
};

/// What a peer says first, of itself.
/// @{
inline constexpr char stuck_peer = 's';
inline constexpr char idle_peer = 'i';
/// @}

/// What stuck peers are sent, and the buffers that are too small for it.
/// @{
inline constexpr std::size_t flood_bytes = 128 << 10;
inline constexpr int server_buffer_bytes = 8192;
inline constexpr int peer_buffer_bytes = 4096;
/// @}

/// Times of the server.
struct times {
    moment asked;    ///< FIN is due from here on.
    moment deadline; ///< Who has not answered is reset from here on.
};

/// Serves a scene on a listening socket, and ends it.
/// @{
times end_by_ringdown(int listener, const scene& crowd);
times end_by_connect(int listener,
                     const scene& crowd);              ///< connect(2) with AF_UNSPEC, and close(2).
times end_by_linger(int listener, const scene& crowd); ///< SO_LINGER of {1, 0}, and close(2).
/// @}

} // namespace bench
