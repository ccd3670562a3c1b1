#include <ringdown/runtime/system_calls.hpp>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <limits>
#include <new>
#include <thread>

#include <fcntl.h>
#include <liburing.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ringdown {
namespace {

int checked(long returned) noexcept { return returned < 0 ? -errno : static_cast<int>(returned); }

class linux_kernel final : public system_calls {
public:
    time_point now() noexcept override { return std::chrono::steady_clock::now(); }
    void pause(std::chrono::nanoseconds time) noexcept override {
        std::this_thread::sleep_for(time);
    }

    std::uint64_t locked_memory_max() noexcept override {
        rlimit limit{};
        if (::getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
            return std::numeric_limits<std::uint64_t>::max();
        return limit.rlim_cur;
    }
    int ring_setup(unsigned entries, io_uring_params& params) noexcept override {
        return io_uring_setup(entries, &params);
    }
    int ring_enter(int ring, unsigned to_submit, unsigned min_complete, unsigned flags,
                   const void* argument, std::size_t argument_bytes) noexcept override {
        // liburing types the argument as a signal set; with EXT_ARG it is io_uring_getevents_arg.
        auto* set = static_cast<sigset_t*>(const_cast<void*>(argument));
        return io_uring_enter2(static_cast<unsigned>(ring), to_submit, min_complete, flags, set,
                               argument_bytes);
    }
    int ring_register(int ring, unsigned opcode, void* argument, unsigned count) noexcept override {
        return io_uring_register(static_cast<unsigned>(ring), opcode, argument, count);
    }
    void* map_ring(int ring, std::size_t bytes, std::uint64_t offset) noexcept override {
        void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                              ring, static_cast<off_t>(offset));
        return memory == MAP_FAILED ? nullptr : memory;
    }
    void unmap(void* memory, std::size_t bytes) noexcept override { ::munmap(memory, bytes); }

    int socket(int domain, int type, int protocol) noexcept override {
        return checked(::socket(domain, type, protocol));
    }
    int bind(int fd, const sockaddr* address, socklen_t bytes) noexcept override {
        return checked(::bind(fd, address, bytes));
    }
    int listen(int fd, int backlog) noexcept override { return checked(::listen(fd, backlog)); }
    int connect(int fd, const sockaddr* address, socklen_t bytes) noexcept override {
        return checked(::connect(fd, address, bytes));
    }
    int shutdown(int fd, int how) noexcept override { return checked(::shutdown(fd, how)); }
    int close(int fd) noexcept override { return checked(::close(fd)); }
    int getsockname(int fd, sockaddr* address, socklen_t* bytes) noexcept override {
        return checked(::getsockname(fd, address, bytes));
    }
    int getsockopt(int fd, int level, int name, void* value, socklen_t* bytes) noexcept override {
        return checked(::getsockopt(fd, level, name, value, bytes));
    }
    int setsockopt(int fd, int level, int name, const void* value,
                   socklen_t bytes) noexcept override {
        return checked(::setsockopt(fd, level, name, value, bytes));
    }
    int ioctl(int fd, unsigned long request, int& answer) noexcept override {
        return checked(::ioctl(fd, request, &answer));
    }
    int send(int fd, const void* data, std::size_t bytes, int flags) noexcept override {
        return checked(static_cast<int>(::send(fd, data, bytes, flags)));
    }
    int recv(int fd, void* buffer, std::size_t bytes, int flags) noexcept override {
        return checked(::recv(fd, buffer, bytes, flags));
    }
    int recvmsg(int fd, msghdr& message, int flags) noexcept override {
        return checked(static_cast<int>(::recvmsg(fd, &message, flags)));
    }
    int set_nonblocking(int fd, bool on) noexcept override {
        const int flags = ::fcntl(fd, F_GETFL);
        if (flags < 0) return -errno;
        return checked(::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
    }

    int process_id() noexcept override { return ::getpid(); }
    int working_folder(char* into, std::size_t bytes) noexcept override {
        return checked(::syscall(SYS_getcwd, into, bytes));
    }
    int file_status(const char* path, struct stat& into) noexcept override {
        return checked(::lstat(path, &into));
    }
    int unlink(const char* path) noexcept override { return checked(::unlink(path)); }
    int chmod(const char* path, mode_t mode) noexcept override {
        return checked(::chmod(path, mode));
    }
    int fchmod(int fd, mode_t mode) noexcept override { return checked(::fchmod(fd, mode)); }
    int open_folder(const char* path) noexcept override {
        return checked(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    int flock(int fd, int operation) noexcept override { return checked(::flock(fd, operation)); }

    int eventfd() noexcept override { return checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }
    int signalfd(std::uint64_t mask) noexcept override {
        sigset_t set;
        sigemptyset(&set);
        for (int signal = 1; signal <= 64; ++signal)
            if (mask >> (signal - 1) & 1) sigaddset(&set, signal);
        return checked(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    }
    int read(int fd, void* buffer, std::size_t bytes) noexcept override {
        return checked(::read(fd, buffer, bytes));
    }
    int write(int fd, const void* buffer, std::size_t bytes) noexcept override {
        return checked(::write(fd, buffer, bytes));
    }
};

} // namespace

// Never destroyed: what has static storage may close its descriptors after everything else.
system_calls& kernel() noexcept {
    alignas(linux_kernel) static std::byte place[sizeof(linux_kernel)];
    static system_calls& instance = *::new (place) linux_kernel;
    return instance;
}

} // namespace ringdown
