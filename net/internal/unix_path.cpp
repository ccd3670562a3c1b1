#include <ringdown/net/internal/unix_path.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstring>
#include <utility>

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace ringdown {
namespace {

using namespace std::chrono_literals;

// Whoever holds the folder does so for some system calls.
constexpr std::chrono::nanoseconds patience_to_bind = 1s, patience_to_remove = 50ms;
constexpr std::chrono::nanoseconds first_wait = 100us, longest_wait = 10ms;
constexpr mode_t permissions = 07777;
// A server that was killed has its socket for some milliseconds more, until its ring is torn down.
constexpr std::chrono::nanoseconds patience_with_the_dead = 250ms;

std::string path_of(const address& at) {
    if (at.family() != AF_UNIX) return {};
    const char* path = reinterpret_cast<const sockaddr_un*>(at.data())->sun_path;
    const std::size_t bytes = at.size() - offsetof(sockaddr_un, sun_path);
    return std::string(path, ::strnlen(path, bytes)); // empty for an abstract name
}

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return path.substr(0, slash == 0 ? 1 : slash);
}

// Asked as a datagram socket, so that a server for streams or packets is not troubled: the kernel
// says that the type is wrong if any process has the socket open, and refuses if none has.
bool abandoned(system_calls& calls, const address& at) noexcept {
    const int asking = calls.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (asking < 0) return false;
    const int answer = calls.connect(asking, at.data(), at.size());
    calls.close(asking);
    return answer == -ECONNREFUSED;
}

} // namespace

/// Holds the folder of a path for as long as this is here.
class unix_path::folder_lock {
public:
    folder_lock(system_calls& calls, const std::string& path,
                std::chrono::nanoseconds patience) noexcept
        : calls_(calls), folder_(calls.open_folder(folder_of(path).c_str())) {
        if (folder_ < 0) return;
        std::chrono::nanoseconds waited{}, wait = first_wait;
        int refused = calls_.flock(folder_, LOCK_EX | LOCK_NB);
        while ((refused == -EWOULDBLOCK || refused == -EINTR) && waited < patience) {
            calls_.pause(wait);
            waited += wait;
            wait = std::min(2 * wait, longest_wait);
            refused = calls_.flock(folder_, LOCK_EX | LOCK_NB);
        }
        held_ = refused == 0;
    }
    folder_lock(const folder_lock&) = delete;
    folder_lock& operator=(const folder_lock&) = delete;
    ~folder_lock() {
        // Not by closing alone, since a child that was forked meanwhile has the descriptor, too.
        if (held_) calls_.flock(folder_, LOCK_UN);
        if (folder_ >= 0) calls_.close(folder_);
    }
    [[nodiscard]] bool held() const noexcept { return held_; }

private:
    system_calls& calls_;
    int folder_;
    bool held_ = false;
};

int unix_path::bind(int fd, const address& at, const unix_path_options& options) {
    path_ = path_of(at);
    if (path_.empty()) return calls_.bind(fd, at.data(), at.size());
    if (path_.front() != '/') {
        std::array<char, PATH_MAX> folder;
        const int bytes = calls_.working_folder(folder.data(), folder.size());
        if (bytes > 0 && folder.front() == '/') path_ = folder.data() + ("/" + path_);
    }
    int done = 0;
    std::chrono::nanoseconds waited{}, wait = first_wait;
    for (;;) {
        bool may_end = false;
        done = bind_locked(fd, at, options, may_end);
        if (done != -EADDRINUSE || !may_end || waited >= patience_with_the_dead) break;
        calls_.pause(wait);
        waited += wait;
        wait = std::min(2 * wait, longest_wait);
    }
    owned_ = done >= 0 && !options.keep;
    return done;
}

int unix_path::bind_locked(int fd, const address& at, const unix_path_options& options,
                           bool& may_end) {
    // The file gets the permissions that the socket has at that time, less the umask.
    if (options.mode) {
        const int refused = calls_.fchmod(fd, *options.mode & permissions);
        if (refused < 0) return refused;
    }
    const folder_lock lock(calls_, path_, patience_to_bind);
    int bound = calls_.bind(fd, at.data(), at.size());
    if (bound == -EADDRINUSE && options.take_over && lock.held()) {
        const int cleared = clear(at, may_end);
        if (cleared < 0) return cleared;
        bound = calls_.bind(fd, at.data(), at.size());
    }
    return bound < 0 ? bound : own(options);
}

// 0 when nothing is at the path any more; `may_end` when a process has the socket open that is.
int unix_path::clear(const address& at, bool& may_end) noexcept {
    struct stat before{}, now{};
    if (calls_.file_status(path_.c_str(), before) == -ENOENT) return 0;
    if (!S_ISSOCK(before.st_mode)) return -EADDRINUSE;
    may_end = !abandoned(calls_, at);
    if (may_end) return -EADDRINUSE;
    // Somebody who knows nothing of the lock may have put another file there.
    if (calls_.file_status(path_.c_str(), now) == -ENOENT) return 0;
    if (before.st_dev != now.st_dev || before.st_ino != now.st_ino) return -EADDRINUSE;
    const int removed = calls_.unlink(path_.c_str());
    return removed == -ENOENT ? 0 : removed;
}

int unix_path::own(const unix_path_options& options) noexcept {
    struct stat bound{};
    int refused = calls_.file_status(path_.c_str(), bound);
    if (refused < 0) return refused;
    file_ = {bound.st_dev, bound.st_ino};
    bound_by_ = calls_.process_id();
    // What the umask took away. Nobody can connect yet, since the socket does not listen.
    if (options.mode && (bound.st_mode & permissions) != (*options.mode & permissions)) {
        refused = calls_.chmod(path_.c_str(), *options.mode & permissions);
        if (refused < 0) calls_.unlink(path_.c_str());
    }
    return refused;
}

void unix_path::remove() noexcept {
    if (!owned_.exchange(false, std::memory_order_relaxed)) return;
    if (calls_.process_id() != bound_by_) return;
    const auto ours = [this] {
        struct stat now{};
        return calls_.file_status(path_.c_str(), now) == 0 &&
               file_ == identity{now.st_dev, now.st_ino};
    };
    // Looked at first, since there is nothing to wait for where the file is not ours any more. And
    // removed without the lock if that is not to be had: only a file that is ours is.
    if (!ours()) return;
    const folder_lock lock(calls_, path_, patience_to_remove);
    if (ours()) calls_.unlink(path_.c_str());
}

} // namespace ringdown
