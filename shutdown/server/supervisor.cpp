#include <ringdown/shutdown/server/supervisor.hpp>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/socket.h>

#include <ringdown/runtime/system_calls.hpp>

namespace ringdown {

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
