#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ringdown {

class system_calls;

/// How the newcomers of a listening socket that stops are kept away.
enum class refusal : std::uint8_t {
    /// Not at all: they are left to others who accept from the same socket.
    none,
    /// TCP: a filter drops their SYN. They ask again, and are refused when the socket is closed.
    by_filter,
    /// TCP: the socket is bound to an interface that there is not, so each is refused at once.
    /// Handshakes under way complete, unless the kernel answers by SYN cookies.
    by_interface,
    /// TCP: packets that have crossed a router, or began with a smaller TTL than 255, are dropped
    /// as by a filter. Newcomers with a TTL of 255 are not kept away.
    by_hop_limit,
    /// Unix: shutdown(2) of the receiving direction; each is refused at once.
    by_shutdown,
    /// The kernel permitted none of these ways: who connects after the last look into the queue is
    /// reset when the socket is closed.
    denied,
};

/// Its name in English, the same as in the source. Lifetime: static.
std::string_view name(refusal how) noexcept;

/// What a listening socket demanded of its packets before `by_hop_limit`; accepted sockets inherit
/// what it demands, and are given this back.
struct hop_limits {
    std::array<int, 2> before{}; // IP_MINTTL, IPV6_MINHOPCOUNT

    /// Keeps the present limits in `before`; `-EPERM` when they are the highest already. Answers as
    /// getsockopt(2).
    int read(system_calls& calls, int listening) noexcept;
    /// Answers as setsockopt(2).
    static int demand_highest(system_calls& calls, int listening, bool ipv6) noexcept;
    /// Sets the limits of `before` on an accepted socket.
    void give_back(system_calls& calls, int accepted) const noexcept;
};

/// Attaches a filter that drops SYN without ACK. Answers as setsockopt(2).
///
/// Source: socket(7), SO_ATTACH_FILTER; for TCP sockets newer kernels ask for CAP_NET_ADMIN.
int drop_syns(system_calls& calls, int listening) noexcept;

/// Binds to an interface that there is not. Answers as setsockopt(2).
///
/// Source: SO_BINDTOIFINDEX (Linux 5.1; without privileges since 5.7, when not bound to any yet).
int bind_to_no_interface(system_calls& calls, int listening) noexcept;

} // namespace ringdown
