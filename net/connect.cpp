#include <ringdown/net/connect.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <ringdown/net/internal/tcp_state.hpp>
#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/operation.hpp>
#include <ringdown/runtime/sleep.hpp>

namespace ringdown {

namespace operations {

struct connect {
    static constexpr const char* name = "connect";

    int fd;
    const address* to;

    void prepare(io_uring_sqe& sqe) const noexcept {
        io_uring_prep_connect(&sqe, fd, to->data(), to->size());
    }
    result<void> decode(completion what) const noexcept {
        if (what.result < 0) return std::unexpected(system_error(what.result));
        return {};
    }
};

} // namespace operations

namespace {

constexpr std::chrono::milliseconds longest_wait{10};

task<result<void>> connect_once(int fd, const address& to) {
    operation<operations::connect> connecting({fd, &to});
    co_return co_await connecting;
}

// Where a unix socket's queue is full nothing tells of room. A descriptor that blocks would wait in
// a worker thread of the kernel's, and a cancellation that comes while it is given to the worker
// finds nothing (ENOENT) and is lost. So it does not block, and is tried again.
task<result<void>> connect_unix(loop& loop, int fd, const address& to) {
    loop.calls().set_nonblocking(fd, true);
    for (std::chrono::milliseconds wait{1};; wait = std::min(2 * wait, longest_wait)) {
        const auto done = co_await connect_once(fd, to);
        if (done || done.error() != std::errc::resource_unavailable_try_again) {
            loop.calls().set_nonblocking(fd, false);
            co_return done;
        }
        const auto slept = co_await sleep_for(wait);
        if (!slept) co_return std::unexpected(slept.error());
    }
}

task<result<void>> connect_descriptor(loop& loop, int fd, const address& to,
                                      std::optional<loop::time_point> deadline) {
    auto connecting = to.family() == AF_UNIX ? connect_unix(loop, fd, to) : connect_once(fd, to);
    if (!deadline) co_return co_await connecting;
    co_return co_await with_deadline(*deadline, std::move(connecting));
}

// A socket keeps the state of its last connection until it is told to forget it.
void forget_connection(system_calls& calls, int fd) {
    calls.set_nonblocking(fd, false);
    const linger off{};
    calls.setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
    if (!tcp_info_of(calls, fd).gone()) return;
    const sockaddr unspecified{.sa_family = AF_UNSPEC, .sa_data = {}};
    calls.connect(fd, &unspecified, sizeof unspecified);
    // With it a connect succeeds before the peer was asked.
    const int no = 0;
    calls.setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &no, sizeof no);
}

// On failure the descriptor is closed: it is not connected, so nothing can linger.
task<result<unique_descriptor>> connect_socket(loop& loop, unique_descriptor socket,
                                               const address& to, const connect_options& options) {
    system_calls& calls = loop.calls();
    const int fd = socket.get();
    const int yes = 1;
    if (options.no_delay && to.family() != AF_UNIX)
        calls.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (options.from) {
        const int bound = calls.bind(fd, options.from->data(), options.from->size());
        if (bound < 0) co_return std::unexpected(system_error(bound));
    }
    const auto done = co_await connect_descriptor(loop, fd, to, options.deadline);
    if (!done) co_return std::unexpected(done.error());
    co_return std::move(socket);
}

result<unique_descriptor> open_socket(loop& loop, const address& to, int type) {
    const int fd = loop.calls().socket(to.family(), type | SOCK_CLOEXEC, 0);
    if (fd < 0) return std::unexpected(system_error(fd));
    return unique_descriptor(fd, loop.calls());
}

task<result<stream>> connect_stream(loop& loop, unique_descriptor socket, const address& to,
                                    const connect_options& options) {
    auto connected = co_await connect_socket(loop, std::move(socket), to, options);
    if (!connected) co_return std::unexpected(connected.error());
    connection::origin from;
    from.traits = to.family() == AF_UNIX ? transports::unix_stream : transports::tcp;
    from.peer = to;
    from.acknowledged_before = from.traits.counts_acknowledgements ? 1 : 0; // SYN
    co_return stream(connection::adopt(loop, connected->release(), from));
}

} // namespace

task<result<stream>> connect(loop& loop, address to, connect_options options) {
    auto opened = open_socket(loop, to, SOCK_STREAM);
    if (!opened) co_return std::unexpected(opened.error());
    co_return co_await connect_stream(loop, std::move(*opened), to, options);
}

task<result<stream>> connect(loop& loop, unique_descriptor again, address to,
                             connect_options options) {
    if (!again) co_return std::unexpected(std::make_error_code(std::errc::bad_file_descriptor));
    forget_connection(loop.calls(), again.get());
    co_return co_await connect_stream(loop, std::move(again), to, options);
}

task<result<packet_stream>> connect_packets(loop& loop, address to, connect_options options) {
    if (to.family() != AF_UNIX) // an IP family with this type would be SCTP
        co_return std::unexpected(std::make_error_code(std::errc::address_family_not_supported));
    auto opened = open_socket(loop, to, SOCK_SEQPACKET);
    if (!opened) co_return std::unexpected(opened.error());
    auto connected = co_await connect_socket(loop, std::move(*opened), to, options);
    if (!connected) co_return std::unexpected(connected.error());
    mark_messages(loop.calls(), connected->get());
    connection::origin from;
    from.traits = transports::unix_packets;
    from.peer = to;
    co_return packet_stream(connection::adopt(loop, connected->release(), from));
}

} // namespace ringdown
