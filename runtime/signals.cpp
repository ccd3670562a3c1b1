#include <ringdown/runtime/signals.hpp>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include <poll.h>
#include <sys/signalfd.h>

#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/poll.hpp>

namespace ringdown {

namespace {

// Of the whole process, bit n-1 for signal n: what was not blocked before.
std::atomic<std::uint64_t> blocked_here{0};

} // namespace

signals::signals(std::initializer_list<int> which, system_calls& calls) : calls_(calls) {
    std::uint64_t mask = 0;
    sigset_t blocked;
    sigemptyset(&blocked);
    for (const int signal : which) {
        if (signal < 1 || signal > 64 || sigaddset(&blocked, signal) != 0)
            throw std::invalid_argument("no signal has the number " + std::to_string(signal));
        mask |= std::uint64_t{1} << (signal - 1);
    }
    sigset_t before;
    if (const int refused = pthread_sigmask(SIG_BLOCK, &blocked, &before))
        throw std::system_error(refused, std::system_category(), "cannot block signals");
    for (const int signal : which)
        if (sigismember(&before, signal) == 0)
            blocked_here.fetch_or(std::uint64_t{1} << (signal - 1), std::memory_order_relaxed);
    fd_ = calls_.signalfd(mask);
    if (fd_ < 0) throw std::system_error(system_error(fd_), "cannot watch signals");
}

signals::~signals() { calls_.close(fd_); }

task<result<int>> signals::next() {
    for (;;) {
        signalfd_siginfo info;
        const int got = calls_.read(fd_, &info, sizeof info);
        if (got == static_cast<int>(sizeof info)) co_return static_cast<int>(info.ssi_signo);
        if (got != -EAGAIN && got != -EINTR) co_return std::unexpected(system_error(got));
        const auto ready = co_await poll(fd_, POLLIN);
        if (!ready) co_return std::unexpected(ready.error());
    }
}

sigset_t child_signal_mask() noexcept {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    const std::uint64_t ours = blocked_here.load(std::memory_order_relaxed);
    for (int signal = 1; signal <= 64; ++signal)
        if (ours >> (signal - 1) & 1) sigdelset(&mask, signal);
    return mask;
}

child_attributes::child_attributes() {
    if (posix_spawnattr_init(&attributes_) != 0) throw std::bad_alloc();
    const sigset_t mask = child_signal_mask();
    sigset_t usual;
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes_, &mask);
    posix_spawnattr_setsigdefault(&attributes_, &usual);
    posix_spawnattr_setflags(&attributes_, flags);
}

} // namespace ringdown
