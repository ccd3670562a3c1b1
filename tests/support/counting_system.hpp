#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <ringdown/runtime/system_calls.hpp>

namespace ringdown::testing {

/// A kernel, Linux unless another is given, with every call counted by its name.
class counting_system : public system_calls {
public:
    explicit counting_system(system_calls& behind = kernel()) : behind_(behind) {}

    /// System calls so far; reading the clock is none.
    [[nodiscard]] std::uint64_t calls() const noexcept { return calls_; }
    /// Of these, the loop's own.
    [[nodiscard]] std::uint64_t enters() const noexcept { return enters_; }
    [[nodiscard]] const std::map<std::string, std::uint64_t>& by_name() const noexcept {
        return by_name_;
    }
    /// Starts from 0 again.
    void forget() {
        calls_ = enters_ = 0;
        by_name_.clear();
    }

    time_point now() noexcept override { return behind_.now(); }
    void pause(std::chrono::nanoseconds time) noexcept override {
        count("nanosleep"), behind_.pause(time);
    }

    std::uint64_t locked_memory_max() noexcept override {
        return count("getrlimit"), behind_.locked_memory_max();
    }
    int ring_setup(unsigned entries, io_uring_params& params) noexcept override {
        return count("ring_setup"), behind_.ring_setup(entries, params);
    }
    int ring_enter(int ring, unsigned to_submit, unsigned min_complete, unsigned flags,
                   const void* argument, std::size_t argument_bytes) noexcept override {
        ++enters_;
        count("ring_enter");
        return behind_.ring_enter(ring, to_submit, min_complete, flags, argument, argument_bytes);
    }
    int ring_register(int ring, unsigned opcode, void* argument, unsigned n) noexcept override {
        return count("ring_register"), behind_.ring_register(ring, opcode, argument, n);
    }
    void* map_ring(int ring, std::size_t bytes, std::uint64_t offset) noexcept override {
        return count("mmap"), behind_.map_ring(ring, bytes, offset);
    }
    void unmap(void* memory, std::size_t bytes) noexcept override {
        count("munmap"), behind_.unmap(memory, bytes);
    }
    int socket(int domain, int type, int protocol) noexcept override {
        return count("socket"), behind_.socket(domain, type, protocol);
    }
    int bind(int fd, const sockaddr* to, socklen_t bytes) noexcept override {
        return count("bind"), behind_.bind(fd, to, bytes);
    }
    int listen(int fd, int backlog) noexcept override {
        return count("listen"), behind_.listen(fd, backlog);
    }
    int connect(int fd, const sockaddr* to, socklen_t bytes) noexcept override {
        return count("connect"), behind_.connect(fd, to, bytes);
    }
    int shutdown(int fd, int how) noexcept override {
        return count("shutdown"), behind_.shutdown(fd, how);
    }
    int close(int fd) noexcept override { return count("close"), behind_.close(fd); }
    int getsockname(int fd, sockaddr* name, socklen_t* bytes) noexcept override {
        return count("getsockname"), behind_.getsockname(fd, name, bytes);
    }
    int getsockopt(int fd, int level, int name, void* value, socklen_t* bytes) noexcept override {
        return count("getsockopt"), behind_.getsockopt(fd, level, name, value, bytes);
    }
    int setsockopt(int fd, int level, int name, const void* value,
                   socklen_t bytes) noexcept override {
        return count("setsockopt"), behind_.setsockopt(fd, level, name, value, bytes);
    }
    int ioctl(int fd, unsigned long request, int& answer) noexcept override {
        return count("ioctl"), behind_.ioctl(fd, request, answer);
    }
    int send(int fd, const void* data, std::size_t bytes, int flags) noexcept override {
        return count("send"), behind_.send(fd, data, bytes, flags);
    }
    int recv(int fd, void* buffer, std::size_t bytes, int flags) noexcept override {
        return count("recv"), behind_.recv(fd, buffer, bytes, flags);
    }
    int recvmsg(int fd, msghdr& message, int flags) noexcept override {
        return count("recvmsg"), behind_.recvmsg(fd, message, flags);
    }
    int set_nonblocking(int fd, bool on) noexcept override {
        return count("fcntl"), behind_.set_nonblocking(fd, on);
    }
    int process_id() noexcept override { return count("getpid"), behind_.process_id(); }
    int working_folder(char* into, std::size_t bytes) noexcept override {
        return count("getcwd"), behind_.working_folder(into, bytes);
    }
    int file_status(const char* path, struct stat& into) noexcept override {
        return count("lstat"), behind_.file_status(path, into);
    }
    int unlink(const char* path) noexcept override { return count("unlink"), behind_.unlink(path); }
    int chmod(const char* path, mode_t mode) noexcept override {
        return count("chmod"), behind_.chmod(path, mode);
    }
    int fchmod(int fd, mode_t mode) noexcept override {
        return count("fchmod"), behind_.fchmod(fd, mode);
    }
    int open_folder(const char* path) noexcept override {
        return count("open"), behind_.open_folder(path);
    }
    int flock(int fd, int operation) noexcept override {
        return count("flock"), behind_.flock(fd, operation);
    }
    int eventfd() noexcept override { return count("eventfd"), behind_.eventfd(); }
    int signalfd(std::uint64_t mask) noexcept override {
        return count("signalfd"), behind_.signalfd(mask);
    }
    int read(int fd, void* buffer, std::size_t bytes) noexcept override {
        return count("read"), behind_.read(fd, buffer, bytes);
    }
    int write(int fd, const void* buffer, std::size_t bytes) noexcept override {
        return count("write"), behind_.write(fd, buffer, bytes);
    }

private:
    void count(const char* name) {
        ++calls_;
        ++by_name_[name];
    }

    system_calls& behind_;
    std::uint64_t calls_ = 0;
    std::uint64_t enters_ = 0;
    std::map<std::string, std::uint64_t> by_name_;
};

} // namespace ringdown::testing
