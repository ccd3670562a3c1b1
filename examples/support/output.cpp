#include "output.hpp"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace examples {
namespace {

constexpr int patience_ms = 1000;

int error_seen = 0;

int write_all(const std::string& text) {
    for (std::size_t done = 0; done < text.size();) {
        pollfd ready{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
        if (::poll(&ready, 1, patience_ms) == 0) return ETIMEDOUT;
        // A pipe that is ready takes this much without waiting.
        const auto size = text.size() - done < 4096 ? text.size() - done : 4096;
        const ssize_t written = ::write(STDOUT_FILENO, text.data() + done, size);
        if (written < 0 && errno != EINTR && errno != EAGAIN) return errno;
        if (written > 0) done += static_cast<std::size_t>(written);
    }
    return 0;
}

} // namespace

void keep_standard_descriptors() noexcept {
    for (int each = 0; each < 3; ++each) {
        if (::fcntl(each, F_GETFD) >= 0 || errno != EBADF) continue;
        // The lowest free number is this one. Opened for what it is not used for.
        (void)::open("/dev/null", each == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

void print_line(const std::string& line) {
    const int error = write_all(line + "\n");
    if (error_seen == 0) error_seen = error;
}

int output_error() {
    const bool flushed = std::fflush(stdout) == 0;
    if (!flushed && error_seen == 0) error_seen = errno;
    if (std::ferror(stdout) && error_seen == 0) error_seen = EIO; // which one, nobody remembers
    return error_seen;
}

} // namespace examples
