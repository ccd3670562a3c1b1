#include <ringdown/net/internal/reset.hpp>

#include <algorithm>

#include <sys/socket.h>

#include <ringdown/net/internal/connection.hpp>

namespace ringdown {

int reset_now(connection& connection) noexcept {
    system_calls& calls = connection.on().calls();
    const int fd = connection.descriptor();
    if (connection.traits().resets_on_demand) {
        // RST leaves at once, in spite of operations in flight, which end by themselves.
        const sockaddr unspecified{.sa_family = AF_UNSPEC, .sa_data = {}};
        return std::min(calls.connect(fd, &unspecified, sizeof unspecified), 0);
    }
    // A socket without a peer has nobody to tell; where this is refused, the close does the same.
    if (connection.traits().has_peer) calls.shutdown(fd, SHUT_RDWR);
    return 0;
}

int reset_at_close(connection& connection) noexcept {
    const linger by_reset{.l_onoff = 1, .l_linger = 0};
    return std::min(connection.on().calls().setsockopt(connection.descriptor(), SOL_SOCKET,
                                                       SO_LINGER, &by_reset, sizeof by_reset),
                    0);
}

} // namespace ringdown
