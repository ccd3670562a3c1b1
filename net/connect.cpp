#include <ringdown/net/connect.hpp>

#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <ringdown/net/tcp_state.hpp>
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

// A socket keeps the state of its last connection until it is told to forget it.
void forget_connection(system& calls, int fd) {
    calls.set_nonblocking(fd, false);
    const linger off{};
    calls.setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
    if (!tcp_info_of(calls, fd).gone()) return;
    const sockaddr unspecified{.sa_family = AF_UNSPEC, .sa_data = {}};
    calls.connect(fd, &unspecified, sizeof unspecified);
}

task<result<stream>> connect_socket(loop& on, unique_descriptor socket, address to,
                                    connect_options options) {
    system& calls = on.calls();
    const int fd = socket.get();
    const int yes = 1;
    if (options.no_delay && to.family() != AF_UNIX)
        calls.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (options.from) {
        const int bound = calls.bind(fd, options.from->data(), options.from->size());
        if (bound < 0) co_return std::unexpected(system_error(bound));
    }
    const auto done = co_await connect_descriptor(on, fd, to, options.deadline);
    if (!done) co_return std::unexpected(done.error());
    connection::origin from;
    from.kind = to.family() == AF_UNIX ? connection_kind::unix_stream : connection_kind::tcp;
    from.peer = to;
    from.acknowledged_before = from.kind == connection_kind::tcp ? 1 : 0;
    co_return stream(connection::adopt(on, socket.release(), from));
}

} // namespace

task<result<stream>> connect(loop& on, address to, connect_options options) {
    const int fd = on.calls().socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) co_return std::unexpected(system_error(fd));
    co_return co_await connect_socket(on, unique_descriptor(fd, on.calls()), to, options);
}

task<result<stream>> connect(loop& on, unique_descriptor again, address to,
                             connect_options options) {
    if (!again) co_return std::unexpected(std::make_error_code(std::errc::bad_file_descriptor));
    forget_connection(on.calls(), again.get());
    co_return co_await connect_socket(on, std::move(again), to, options);
}

} // namespace ringdown
