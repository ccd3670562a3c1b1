#include <ringdown/net/connect.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/operation.hpp>

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

task<result<void>> connect_descriptor(loop& on, int fd, const address& to,
                                      std::optional<loop::time_point> deadline) {
    operation<operations::connect> connecting(on, {fd, &to});
    if (!deadline) co_return co_await connecting;
    auto timed = [](auto& operation) -> task<result<void>> { co_return co_await operation; };
    co_return co_await with_deadline(on, *deadline, timed(connecting));
}

// Makes the socket of the type and connects it.
task<result<int>> connected_descriptor(loop& on, const address& to, int type,
                                       const connect_options& options) {
    system& calls = on.calls();
    const int fd = calls.socket(to.family(), type | SOCK_CLOEXEC, 0);
    if (fd < 0) co_return std::unexpected(system_error(fd));
    const int yes = 1;
    if (options.no_delay && to.family() != AF_UNIX)
        calls.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    result<void> done;
    if (options.from) {
        const int bound = calls.bind(fd, options.from->data(), options.from->size());
        if (bound < 0) done = std::unexpected(system_error(bound));
    }
    if (done) done = co_await connect_descriptor(on, fd, to, options.deadline);
    if (!done) {
        calls.close(fd); // not connected, so nothing can linger
        co_return std::unexpected(done.error());
    }
    co_return fd;
}

} // namespace

task<result<stream>> connect(loop& on, address to, connect_options options) {
    const auto fd = co_await connected_descriptor(on, to, SOCK_STREAM, options);
    if (!fd) co_return std::unexpected(fd.error());
    connection::origin from;
    from.kind = to.family() == AF_UNIX ? connection_kind::unix_stream : connection_kind::tcp;
    from.peer = to;
    from.acknowledged_before = from.kind == connection_kind::tcp ? 1 : 0;
    co_return stream(connection::adopt(on, *fd, from));
}

task<result<packet_stream>> connect_packets(loop& on, address to, connect_options options) {
    if (to.family() != AF_UNIX) // an IP family with this type would be SCTP
        co_return std::unexpected(std::make_error_code(std::errc::address_family_not_supported));
    const auto fd = co_await connected_descriptor(on, to, SOCK_SEQPACKET, options);
    if (!fd) co_return std::unexpected(fd.error());
    mark_messages(on.calls(), *fd);
    connection::origin from;
    from.kind = connection_kind::unix_packets;
    from.peer = to;
    co_return packet_stream(connection::adopt(on, *fd, from));
}

} // namespace ringdown
