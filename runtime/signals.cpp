#include <ringdown/runtime/signals.hpp>

#include <csignal>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <system_error>

#include <poll.h>
#include <sys/signalfd.h>

#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/poll.hpp>

namespace ringdown {

signals::signals(loop& on, std::initializer_list<int> which) : on_(on), calls_(on.calls()) {
    std::uint64_t mask = 0;
    sigset_t blocked;
    sigemptyset(&blocked);
    for (const int signal : which) {
        if (signal < 1 || signal > 64 || sigaddset(&blocked, signal) != 0)
            throw std::invalid_argument("no signal has the number " + std::to_string(signal));
        mask |= std::uint64_t{1} << (signal - 1);
    }
    if (const int refused = pthread_sigmask(SIG_BLOCK, &blocked, nullptr))
        throw std::system_error(refused, std::system_category(), "cannot block signals");
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
        const auto ready = co_await poll(on_, fd_, POLLIN);
        if (!ready) co_return std::unexpected(ready.error());
    }
}

} // namespace ringdown
