#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <sys/socket.h>
#include <sys/stat.h>

struct io_uring_params;

namespace ringdown {

/// `from` and `time` later, or the end of time where that cannot be told: durations may be `max`.
inline std::chrono::steady_clock::time_point later(std::chrono::steady_clock::time_point from,
                                                   std::chrono::nanoseconds time) noexcept {
    constexpr auto end = std::chrono::steady_clock::time_point::max();
    return time > end - from ? end : from + time;
}

/// Every call by which the library leaves the process.
///
/// The library reaches the kernel through this interface and nowhere else, so a simulated kernel
/// can stand behind it. Calls return what the system call returns, or the negated errno.
/// Lifetime: it outlives every loop that was made with it.
/// Source: io_uring_setup(2), io_uring_enter(2), io_uring_register(2) and the pages of the others.
class system_calls {
public:
    using time_point = std::chrono::steady_clock::time_point;

    virtual ~system_calls() = default;

    virtual time_point now() noexcept = 0;
    /// Lets the thread sleep. Only set-up does, and the end of a listening socket.
    virtual void pause(std::chrono::nanoseconds time) noexcept = 0;

    /// RLIMIT_MEMLOCK in bytes, which a privileged process may exceed.
    virtual std::uint64_t locked_memory_max() noexcept = 0;
    virtual int ring_setup(unsigned entries, io_uring_params& params) noexcept = 0;
    virtual int ring_enter(int ring, unsigned to_submit, unsigned min_complete, unsigned flags,
                           const void* argument, std::size_t argument_bytes) noexcept = 0;
    virtual int ring_register(int ring, unsigned opcode, void* argument,
                              unsigned count) noexcept = 0;
    /// Maps a part of a ring; null on failure.
    virtual void* map_ring(int ring, std::size_t bytes, std::uint64_t offset) noexcept = 0;
    virtual void unmap(void* memory, std::size_t bytes) noexcept = 0;

    virtual int socket(int domain, int type, int protocol) noexcept = 0;
    virtual int bind(int fd, const sockaddr* address, socklen_t bytes) noexcept = 0;
    virtual int listen(int fd, int backlog) noexcept = 0;
    virtual int connect(int fd, const sockaddr* address, socklen_t bytes) noexcept = 0;
    virtual int shutdown(int fd, int how) noexcept = 0;
    virtual int close(int fd) noexcept = 0;
    virtual int getsockname(int fd, sockaddr* address, socklen_t* bytes) noexcept = 0;
    virtual int getsockopt(int fd, int level, int name, void* value, socklen_t* bytes) noexcept = 0;
    virtual int setsockopt(int fd, int level, int name, const void* value,
                           socklen_t bytes) noexcept = 0;
    /// ioctl(2) for the requests that answer with one int (SIOCOUTQ, SIOCINQ).
    virtual int ioctl(int fd, unsigned long request, int& answer) noexcept = 0;
    virtual int send(int fd, const void* data, std::size_t bytes, int flags) noexcept = 0;
    virtual int recv(int fd, void* buffer, std::size_t bytes, int flags) noexcept = 0;
    virtual int recvmsg(int fd, msghdr& message, int flags) noexcept = 0;
    /// Sets or clears O_NONBLOCK.
    virtual int set_nonblocking(int fd, bool on) noexcept = 0;

    /// What a unix socket's path needs.
    /// @{
    virtual int process_id() noexcept = 0;
    /// getcwd(2): the number of bytes, the zero at the end included.
    virtual int working_folder(char* into, std::size_t bytes) noexcept = 0;
    /// lstat(2).
    virtual int file_status(const char* path, struct stat& into) noexcept = 0;
    virtual int unlink(const char* path) noexcept = 0;
    virtual int chmod(const char* path, mode_t mode) noexcept = 0;
    virtual int fchmod(int fd, mode_t mode) noexcept = 0;
    virtual int open_folder(const char* path) noexcept = 0;
    virtual int flock(int fd, int operation) noexcept = 0;
    /// @}

    virtual int eventfd() noexcept = 0;
    /// signalfd(2) for the signals in `mask` (bit n-1 is signal n), which the caller has blocked.
    virtual int signalfd(std::uint64_t mask) noexcept = 0;
    virtual int read(int fd, void* buffer, std::size_t bytes) noexcept = 0;
    virtual int write(int fd, const void* buffer, std::size_t bytes) noexcept = 0;
};

/// The Linux kernel.
system_calls& kernel() noexcept;

} // namespace ringdown
