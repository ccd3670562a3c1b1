#include "terminal.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace examples {
namespace {

// The second screen, without a cursor; and back. A page begins at the top and erases only what its
// lines leave over, so nothing flickers.
constexpr std::string_view enter = "\x1b[?1049h\x1b[?25l";
constexpr std::string_view leave = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view top = "\x1b[H";
constexpr std::string_view erase_line = "\x1b[K";
constexpr std::string_view erase_below = "\x1b[J";

constexpr int ending_signals[] = {SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

volatile std::sig_atomic_t on_second_screen = 0;
volatile int terminal_fd = -1;

void leave_second_screen() noexcept {
    if (!on_second_screen) return;
    on_second_screen = 0;
    // Where that cannot be written, nothing can be done about it.
    [[maybe_unused]] const auto written = ::write(terminal_fd, leave.data(), leave.size());
}

// The signal's own action follows: it was reset when the handler was entered.
void end_by(int signal) {
    leave_second_screen();
    ::raise(signal);
}

void stop_for_a_while(int) {
    const int before = errno;
    leave_second_screen();
    ::raise(SIGSTOP);
    errno = before; // goes on here, and the next page enters the second screen again
}

void handle(int signal, void (*handler)(int), int flags) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigaction(signal, &action, nullptr);
}

} // namespace

terminal::terminal() {
    if (!::isatty(STDERR_FILENO))
        throw std::runtime_error("--live draws on standard error, which is no terminal here");
    // Opened anew, so that not waiting is no business of the others who write to it.
    fd_ = ::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd_ < 0) fd_ = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0); // another user's; it may wait
    if (fd_ < 0)
        throw std::system_error(errno, std::generic_category(), "cannot open the terminal");
    terminal_fd = fd_;
    for (const int each : ending_signals)
        handle(each, end_by, SA_RESETHAND | SA_NODEFER);
    handle(SIGTSTP, stop_for_a_while, SA_RESTART);
}

terminal::~terminal() {
    // What is left of a page first: the sequences in it must be whole.
    for (int tries = 0; !pending_.empty() && tries < 10; ++tries) {
        pollfd ready{.fd = fd_, .events = POLLOUT, .revents = 0};
        ::poll(&ready, 1, 10);
        flush();
    }
    leave_second_screen();
    for (const int each : ending_signals)
        handle(each, SIG_DFL, 0);
    handle(SIGTSTP, SIG_DFL, 0);
    terminal_fd = -1;
    ::close(fd_);
}

void terminal::show(const std::vector<std::string>& lines) {
    flush();
    if (!pending_.empty()) return;
    winsize window{};
    if (::ioctl(fd_, TIOCGWINSZ, &window) < 0 || window.ws_row == 0 || window.ws_col == 0)
        window = {.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};

    if (!on_second_screen) pending_ = enter;
    on_second_screen = 1;
    pending_ += top;
    const std::size_t rows = std::min<std::size_t>(lines.size(), window.ws_row);
    for (std::size_t i = 0; i < rows; ++i) {
        // One column less: behind the last one, erasing would take its character away.
        pending_.append(lines[i], 0, window.ws_col - 1U).append(erase_line);
        if (i + 1 < rows) pending_ += "\r\n";
    }
    pending_ += erase_below;
    flush();
}

void terminal::flush() {
    while (!pending_.empty()) {
        const ssize_t written = ::write(fd_, pending_.data(), pending_.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && errno == EAGAIN) return;
        if (written < 0) pending_.clear(); // the terminal is gone
        if (written > 0) pending_.erase(0, static_cast<std::size_t>(written));
    }
}

} // namespace examples
