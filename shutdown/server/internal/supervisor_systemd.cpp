#include <ringdown/shutdown/server/supervisor.hpp>

#include <cstdlib>
#include <stdexcept>
#include <system_error>

#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <ringdown/net/address.hpp>
#include <ringdown/runtime/system_calls.hpp>

// What a build with libsystemd takes over from the service manager.

namespace ringdown {
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

} // namespace ringdown
