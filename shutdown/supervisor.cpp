#include <ringdown/shutdown/supervisor.hpp>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include <sys/socket.h>
#if RINGDOWN_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include <ringdown/net/address.hpp>
#include <ringdown/runtime/system.hpp>

namespace ringdown {

#if RINGDOWN_SYSTEMD

namespace {

// sd_notify(3) looks into the environment with every message, so the variable would have to stay
// there for children to inherit. The protocol is a datagram, which the manual page describes.
int connect_to_manager() {
    const char* named = std::getenv("NOTIFY_SOCKET");
    if (!named) return -1;
    const std::string name = named;
    ::unsetenv("NOTIFY_SOCKET");
    const auto manager = address::parse("unix:" + name);
    if (!manager || (name[0] != '/' && name[0] != '@'))
        throw std::invalid_argument("NOTIFY_SOCKET: '" + name +
                                    "' is neither an absolute path nor an abstract name (@name)");
    const int fd = kernel().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int refused = fd < 0 ? fd : kernel().connect(fd, manager->data(), manager->size());
    if (refused >= 0) return fd;
    if (fd >= 0) kernel().close(fd);
    throw std::system_error(system_error(refused), "cannot reach the service manager at " + name);
}

std::vector<supervisor::handed_over> receive_sockets() {
    char** names = nullptr;
    const int count = sd_listen_fds_with_names(1, &names);
    if (count < 0)
        throw std::system_error(system_error(count),
                                "cannot take the sockets that LISTEN_FDS tells of");
    std::vector<supervisor::handed_over> taken;
    for (int i = 0; i < count; ++i) {
        taken.push_back({SD_LISTEN_FDS_START + i, names[i]});
        std::free(names[i]);
    }
    std::free(names);
    return taken;
}

} // namespace

supervisor::supervisor() : notify_(connect_to_manager()), sockets_(receive_sockets()) {}

bool supervisor::built_in() noexcept { return true; }

#else

supervisor::supervisor() = default;

bool supervisor::built_in() noexcept { return false; }

#endif

supervisor::~supervisor() {
    for (const handed_over& each : sockets_)
        kernel().close(each.descriptor);
    if (notify_ >= 0) kernel().close(notify_);
}

result<void> supervisor::tell(const std::string& message, int flags) {
    if (notify_ < 0) return {};
    ssize_t sent;
    do
        sent = ::send(notify_, message.data(), message.size(), MSG_NOSIGNAL | flags);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) return std::unexpected(system_error(-errno));
    return {};
}

result<void> supervisor::ready() { return tell("READY=1", 0); }

result<void> supervisor::stopping() { return tell("STOPPING=1", MSG_DONTWAIT); }

result<void> supervisor::extend(std::chrono::microseconds time) {
    return tell("EXTEND_TIMEOUT_USEC=" + std::to_string(time.count()), MSG_DONTWAIT);
}

result<void> supervisor::status(std::string_view line) {
    std::string message = "STATUS=";
    message.append(line);
    std::ranges::replace(message, '\n', ' '); // which would begin another field
    return tell(message, MSG_DONTWAIT);
}

std::vector<supervisor::handed_over> supervisor::take_sockets() {
    return std::exchange(sockets_, {});
}

} // namespace ringdown
