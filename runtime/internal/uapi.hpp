#pragma once

#include <liburing.h>

// The kernel's fixed numbers that liburing 2.3 does not name, under names of our own so that a
// newer liburing does not clash. Source: include/uapi/linux/io_uring.h,
// include/uapi/linux/socket.h.
namespace ringdown::uapi {

inline constexpr unsigned setup_no_sqarray = 1U << 16; // Linux 6.6

// Socket commands: IORING_OP_URING_CMD with sqe->cmd_op.
inline constexpr unsigned socket_siocinq = 0;    // Linux 6.6
inline constexpr unsigned socket_siocoutq = 1;   // Linux 6.6
inline constexpr unsigned socket_getsockopt = 2; // Linux 6.7
inline constexpr unsigned socket_setsockopt = 3; // Linux 6.7

inline constexpr int so_peername = 28;
inline constexpr int so_cookie = 57;        // include/uapi/asm-generic/socket.h, Linux 4.6
inline constexpr int so_bindtoifindex = 62; // Linux 5.1
inline constexpr int ipv6_minhopcount = 73; // include/uapi/linux/in6.h

/// Fills a getsockopt or setsockopt command: its fields overlay others of the entry.
inline void prepare_socket_option(io_uring_sqe& sqe, unsigned command, int fd, int level, int name,
                                  void* value, unsigned bytes) noexcept {
    io_uring_prep_rw(IORING_OP_URING_CMD, &sqe, fd, nullptr, 0, 0);
    sqe.off = command; // cmd_op
    sqe.addr = static_cast<unsigned>(level) |
               static_cast<unsigned long long>(static_cast<unsigned>(name)) << 32;
    sqe.splice_fd_in = static_cast<int>(bytes);              // optlen
    sqe.addr3 = reinterpret_cast<unsigned long long>(value); // optval
}

inline void prepare_socket_queue(io_uring_sqe& sqe, unsigned command, int fd) noexcept {
    io_uring_prep_rw(IORING_OP_URING_CMD, &sqe, fd, nullptr, 0, 0);
    sqe.off = command;
}

} // namespace ringdown::uapi
