#pragma once

#include <cstddef>
#include <cstdint>

// What every contestant needs and none is measured by.

namespace servers {

/// What a server does with each connection. A request is `request_bytes` long, and its answer
/// holds the same bytes.
enum class workload : std::uint8_t {
    echo,               ///< Sends back all it gets; ends after the peer has.
    churn_server_first, ///< Answers one request, sends FIN, waits for the peer's, closes.
    churn_client_first, ///< Answers one request, waits for the peer's FIN, closes.
    churn_abort,        ///< Answers one request and resets.
    discard,            ///< As `churn_server_first`; drops what the peer sends after the request.
    drain,              ///< As `echo`; at SIGTERM sends FIN to all, waits for theirs, and exits.
    cancel,             ///< Floods who has asked; told to stop, resets with all of it under way.
};

inline constexpr std::size_t request_bytes = 64;

/// What `cancel` sends to a peer that reads nothing: more than any of the buffers between them
/// takes, so that the send is under way until it is ended. The same bytes for everybody.
inline constexpr std::size_t flood_bytes = 1 << 20;
const char* flood();
/// Of the sending side, so that it is the ending that costs and not the copying.
inline constexpr int flood_buffer_bytes = 16 * 1024;

struct order {
    workload what = workload::echo;
    std::uint16_t port = 0;
};

/// Reads `WORKLOAD PORT`; exits with one clear line when they are something else.
order read_order(int argc, char** argv);

/// Listens on 127.0.0.1; exits when it cannot. Those who are accepted have TCP_NODELAY, and for
/// `cancel` a small send buffer.
int listen_on(const order& given, int socket_flags);

/// A descriptor that is readable after SIGTERM or SIGINT.
int stop_signals();

/// For what must not fail: ends the program with the name of what did.
void must(bool held, const char* what);

/// True for those that end when asked, having ended their connections before.
constexpr bool drains(workload what) noexcept { return what == workload::drain; }
constexpr bool echoes(workload what) noexcept {
    return what == workload::echo || what == workload::drain;
}
constexpr bool finishes_first(workload what) noexcept {
    return what == workload::churn_server_first || what == workload::discard;
}

} // namespace servers
