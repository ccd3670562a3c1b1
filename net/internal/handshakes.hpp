#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <ringdown/net/address.hpp>

namespace ringdown {

class system_calls;

/// The handshakes under way at a listening TCP socket: SYN has come, and no ACK yet.
///
/// No event tells when one completes, so they are counted: by sock_diag(7), which looks through the
/// kernel's whole table of connections (4 ms of CPU with its 262,144 places, 7 ms with 18,000 of
/// them taken; measured on Linux 6.18).
class handshakes {
public:
    /// `local` is where `listening` listens.
    handshakes(system_calls& calls, int listening, const address& local) noexcept;

    /// How many of those that the first look found are still under way. One whose SYN-ACK
    /// has not been answered within a second, nor when it was repeated, counts no more.
    ///
    /// Empty when the kernel does not tell: it was built without, sock_diag is forbidden, the
    /// socket is of another network namespace, or there is no descriptor or memory left.
    std::optional<std::size_t> under_way();

private:
    using cookies = std::vector<std::uint64_t>; // the kernel's names of sockets and of handshakes

    bool ask(int netlink) noexcept;
    bool take_answers(int netlink, cookies& found);
    /// What a part of the answer says; false when it is an error.
    bool take_part(const char* part, std::size_t bytes, cookies& found);

    system_calls& calls_;
    std::uint64_t listening_ = 0; // its cookie; 0 when the kernel does not tell
    std::uint8_t family_;
    std::uint16_t port_;    // in network order
    bool complete_ = false; // the answer's last part has come
    bool seen_listening_ = false;
    bool looked_ = false;
    cookies watched_; // sorted
};

} // namespace ringdown
