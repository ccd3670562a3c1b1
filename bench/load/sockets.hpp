#pragma once

#include <cstdint>
#include <span>

#include <sys/epoll.h>

namespace load {

using time_ns = std::uint64_t;

/// CLOCK_MONOTONIC.
time_ns now();

/// A socket that is connecting, or connected, to the server. `nth` of the run: its source address
/// changes from time to time, so that ports never run out. `receive_buffer_bytes` as SO_RCVBUF; 0:
/// what the kernel takes by itself.
int connect_to(std::uint16_t port, std::uint64_t nth, int receive_buffer_bytes = 0);

/// Bytes of message `sequence` of connection `nth`; no two that can be mixed up are alike.
std::span<const char> message(std::uint64_t nth, std::uint64_t sequence, std::size_t bytes);

/// Makes a close reset, so that nothing lingers.
void abort_on_close(int fd);

/// An epoll set whose entries are indices.
class poller {
public:
    poller();
    void add(int fd, std::uint32_t events, std::uint64_t index) const;
    void change(int fd, std::uint32_t events, std::uint64_t index) const;
    /// What is ready, at the latest at `until`.
    std::span<const epoll_event> wait(time_ns until);

private:
    int fd_;
    epoll_event ready_[256];
};

} // namespace load
