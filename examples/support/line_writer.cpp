#include "line_writer.hpp"

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace examples {
namespace {

// Appending, so that lines of two programs that share a file never overwrite each other.
constexpr int how_to_open = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC;

bool is_regular(int fd) {
    struct stat status{};
    return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

bool is_fifo(const std::string& file_name) {
    struct stat status{};
    return stat(file_name.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
}

// What a FIFO without a reader answers is -1 with ENXIO.
int open_at_once(const std::string& file_name) {
    const bool fifo = is_fifo(file_name);
    const int fd = open(file_name.c_str(), how_to_open | (fifo ? O_NONBLOCK : 0), 0644);
    if (fd >= 0 && fifo) fcntl(fd, F_SETFL, O_APPEND); // now the thread may wait in it
    return fd;
}

} // namespace

struct line_writer::shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::string> queue; // the first one is being written
    std::string to_open;           // by the thread
    int fd = -1;
    bool owned = false;
    bool finished = false;
    std::uint64_t unwritten = 0;

    ~shared() {
        if (owned && fd >= 0) close(fd);
    }

    // Says so once. With the mutex held.
    void note_failure() {
        if (unwritten++ == 0)
            std::fprintf(stderr, "reports cannot be written: %s\n", std::strerror(errno));
    }

    [[nodiscard]] bool put(const std::string& line) const {
        for (std::size_t done = 0; done < line.size();) {
            const ssize_t written = ::write(fd, line.data() + done, line.size() - done);
            if (written < 0 && errno != EINTR) return false;
            if (written > 0) done += static_cast<std::size_t>(written);
        }
        return true;
    }

    void run() {
        if (!to_open.empty()) fd = open(to_open.c_str(), how_to_open);
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [this] { return finished || !queue.empty(); });
            if (queue.empty()) return;
            const std::string& line = queue.front(); // stays where it is as others are queued
            lock.unlock();
            const bool written = put(line);
            lock.lock();
            if (!written) note_failure();
            queue.pop_front();
            changed.notify_all();
        }
    }
};

line_writer::line_writer(int fd) : shared_(std::make_shared<shared>()), in_place_(is_regular(fd)) {
    shared_->fd = fd;
}

line_writer::line_writer(const std::string& file_name) : shared_(std::make_shared<shared>()) {
    shared_->owned = true;
    shared_->fd = open_at_once(file_name);
    if (shared_->fd < 0 && errno != ENXIO)
        throw std::system_error(errno, std::generic_category(),
                                "cannot write reports to " + file_name);
    if (shared_->fd < 0) shared_->to_open = file_name;
    in_place_ = is_regular(shared_->fd);
}

line_writer::~line_writer() { finish(std::chrono::milliseconds(0)); }

void line_writer::write(std::string line) {
    const std::lock_guard lock(shared_->mutex);
    if (in_place_) {
        if (!shared_->put(line)) shared_->note_failure();
        return;
    }
    shared_->queue.push_back(std::move(line));
    shared_->changed.notify_all();
    if (running_) return;
    // Signals are for the others: it shall not be the one that SIGTERM ends the process by.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        std::thread([written = shared_] { written->run(); }).detach();
        running_ = true;
    } catch (const std::system_error&) { // the next line tries again
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

std::uint64_t line_writer::finish(std::chrono::milliseconds patience) {
    std::unique_lock lock(shared_->mutex);
    shared_->finished = true;
    shared_->changed.notify_all();
    shared_->changed.wait_for(lock, patience, [this] { return shared_->queue.empty(); });
    return shared_->unwritten + shared_->queue.size();
}

} // namespace examples
