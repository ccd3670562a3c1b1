#pragma once

#include <cerrno>

#include <liburing.h>

#include <ringdown/runtime/system_calls.hpp>

/// Linux, with some calls answered by the test: what overrides nothing is passed on.
class forwarding_system : public ringdown::system_calls {
public:
    time_point now() noexcept override { return linux_.now(); }
    void pause(std::chrono::nanoseconds time) noexcept override { linux_.pause(time); }
    std::uint64_t locked_memory_max() noexcept override { return linux_.locked_memory_max(); }
    int ring_setup(unsigned entries, io_uring_params& params) noexcept override {
        return linux_.ring_setup(entries, params);
    }
    int ring_enter(int ring, unsigned to_submit, unsigned min_complete, unsigned flags,
                   const void* argument, std::size_t argument_bytes) noexcept override {
        return linux_.ring_enter(ring, to_submit, min_complete, flags, argument, argument_bytes);
    }
    int ring_register(int ring, unsigned opcode, void* argument, unsigned count) noexcept override {
        return linux_.ring_register(ring, opcode, argument, count);
    }
    void* map_ring(int ring, std::size_t bytes, std::uint64_t offset) noexcept override {
        return linux_.map_ring(ring, bytes, offset);
    }
    void unmap(void* memory, std::size_t bytes) noexcept override { linux_.unmap(memory, bytes); }
    int socket(int domain, int type, int protocol) noexcept override {
        return linux_.socket(domain, type, protocol);
    }
    int bind(int fd, const sockaddr* address, socklen_t bytes) noexcept override {
        return linux_.bind(fd, address, bytes);
    }
    int listen(int fd, int backlog) noexcept override { return linux_.listen(fd, backlog); }
    int connect(int fd, const sockaddr* address, socklen_t bytes) noexcept override {
        return linux_.connect(fd, address, bytes);
    }
    int shutdown(int fd, int how) noexcept override { return linux_.shutdown(fd, how); }
    int close(int fd) noexcept override { return linux_.close(fd); }
    int getsockname(int fd, sockaddr* address, socklen_t* bytes) noexcept override {
        return linux_.getsockname(fd, address, bytes);
    }
    int getsockopt(int fd, int level, int name, void* value, socklen_t* bytes) noexcept override {
        return linux_.getsockopt(fd, level, name, value, bytes);
    }
    int setsockopt(int fd, int level, int name, const void* value,
                   socklen_t bytes) noexcept override {
        return linux_.setsockopt(fd, level, name, value, bytes);
    }
    int ioctl(int fd, unsigned long request, int& answer) noexcept override {
        return linux_.ioctl(fd, request, answer);
    }
    int send(int fd, const void* data, std::size_t bytes, int flags) noexcept override {
        return linux_.send(fd, data, bytes, flags);
    }
    int recv(int fd, void* buffer, std::size_t bytes, int flags) noexcept override {
        return linux_.recv(fd, buffer, bytes, flags);
    }
    int recvmsg(int fd, msghdr& message, int flags) noexcept override {
        return linux_.recvmsg(fd, message, flags);
    }
    int set_nonblocking(int fd, bool on) noexcept override {
        return linux_.set_nonblocking(fd, on);
    }
    int process_id() noexcept override { return linux_.process_id(); }
    int working_folder(char* into, std::size_t bytes) noexcept override {
        return linux_.working_folder(into, bytes);
    }
    int file_status(const char* path, struct stat& into) noexcept override {
        return linux_.file_status(path, into);
    }
    int unlink(const char* path) noexcept override { return linux_.unlink(path); }
    int chmod(const char* path, mode_t mode) noexcept override { return linux_.chmod(path, mode); }
    int fchmod(int fd, mode_t mode) noexcept override { return linux_.fchmod(fd, mode); }
    int open_folder(const char* path) noexcept override { return linux_.open_folder(path); }
    int flock(int fd, int operation) noexcept override { return linux_.flock(fd, operation); }
    int eventfd() noexcept override { return linux_.eventfd(); }
    int signalfd(std::uint64_t mask) noexcept override { return linux_.signalfd(mask); }
    int read(int fd, void* buffer, std::size_t bytes) noexcept override {
        return linux_.read(fd, buffer, bytes);
    }
    int write(int fd, const void* buffer, std::size_t bytes) noexcept override {
        return linux_.write(fd, buffer, bytes);
    }

private:
    ringdown::system_calls& linux_ = ringdown::kernel();
};

/// Refuses the next submissions that do not also wait, as a kernel that lacks room does.
class refusing_system final : public forwarding_system {
public:
    int ring_enter(int ring, unsigned to_submit, unsigned min_complete, unsigned flags,
                   const void* argument, std::size_t argument_bytes) noexcept override {
        if (refusals > 0 && to_submit > 0 && !(flags & IORING_ENTER_GETEVENTS)) {
            --refusals;
            return with;
        }
        return forwarding_system::ring_enter(ring, to_submit, min_complete, flags, argument,
                                             argument_bytes);
    }
    int refusals = 0;
    int with = -EBUSY;
};
