#pragma once

#include <cstddef>
#include <cstdint>

#include <sys/types.h>

namespace bench {

/// The other side: a process that connects, gets one answer on each connection, and then keeps it.
///
/// A process of its own, so that its sockets count neither against this one's descriptors nor in
/// its memory.
class clients {
public:
    explicit clients(std::uint16_t port);
    clients(const clients&) = delete;
    clients& operator=(const clients&) = delete;
    /// Closes all connections and waits for the process.
    ~clients();

    /// Asks for so many more connections, each with a request that has been answered.
    void connect(std::uint32_t more) noexcept;

private:
    int orders_ = -1;
    pid_t process_ = -1;
};

constexpr std::size_t request_bytes = 64;

} // namespace bench
