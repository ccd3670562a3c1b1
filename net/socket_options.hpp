#pragma once

#include <cerrno>
#include <optional>
#include <type_traits>

#include <netinet/in.h>
#include <sys/socket.h>

#include <ringdown/runtime/internal/uapi.hpp>
#include <ringdown/runtime/operation.hpp>

namespace ringdown {

/// TCP_ULP of <linux/tcp.h> and <netinet/tcp.h>, of which a program can include one only.
inline constexpr int tcp_ulp = 31;

/// getsockopt(2) in place: 0 or a negated errno.
template <class Value>
int option_of(system_calls& calls, int fd, int level, int name, Value& value) noexcept {
    socklen_t bytes = sizeof value;
    return calls.getsockopt(fd, level, name, &value, &bytes);
}

namespace operations {

/// setsockopt(2) on the ring since Linux 6.7, in place before.
template <class Value>
struct set_socket_option {
    static constexpr const char* name = "setsockopt";

    int fd;
    int level;
    int option;
    Value value;

    std::optional<int> in_place(loop& loop) noexcept {
        if (level == IPPROTO_TCP && option == tcp_ulp) return -EPROTONOSUPPORT;
        if (loop.has(capability::socket_option_commands)) return {};
        return loop.calls().setsockopt(fd, level, option, &value, sizeof value);
    }
    void prepare(io_uring_sqe& sqe) noexcept {
        uapi::prepare_socket_option(sqe, uapi::socket_setsockopt, fd, level, option, &value,
                                    sizeof value);
    }
    result<void> decode(completion what) const noexcept {
        if (what.result < 0) return std::unexpected(system_error(what.result));
        return {};
    }
};

/// getsockopt(2): on the ring since Linux 6.7 for level SOL_SOCKET, in place otherwise.
template <class Value>
struct get_socket_option {
    static constexpr const char* name = "getsockopt";

    int fd;
    int level;
    int option;
    Value value{};

    std::optional<int> in_place(loop& loop) noexcept {
        if (level == SOL_SOCKET && loop.has(capability::socket_option_commands)) return {};
        socklen_t bytes = sizeof value;
        return loop.calls().getsockopt(fd, level, option, &value, &bytes);
    }
    void prepare(io_uring_sqe& sqe) noexcept {
        uapi::prepare_socket_option(sqe, uapi::socket_getsockopt, fd, level, option, &value,
                                    sizeof value);
    }
    result<Value> decode(completion what) const noexcept {
        if (what.result < 0) return std::unexpected(system_error(what.result));
        return value;
    }
    /// SO_ERROR is told once, so the connection has to hear of what the application was told.
    [[nodiscard]] int taken_error() const noexcept {
        if constexpr (std::is_same_v<Value, int>)
            return level == SOL_SOCKET && option == SO_ERROR ? value : 0;
        return 0;
    }
};

} // namespace operations
} // namespace ringdown
