#pragma once

#include <cstdint>
#include <ostream>
#include <vector>

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <ringdown/runtime/ring.hpp>

#include "sim_kernel.hpp"

/// For tests of the simulated kernel itself, by a raw ring.
namespace ringdown::sim_tests {

using namespace std::chrono_literals;

struct seen {
    std::uint64_t name;
    int result;
    unsigned flags;
    bool operator==(const seen&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const std::vector<seen>& all) {
    for (const seen& each : all)
        out << '{' << each.name << ", " << each.result << ", " << std::hex << each.flags << std::dec
            << '}';
    return out;
}

/// A simulated kernel with a ring on it, and what has completed so far.
struct setting {
    explicit setting(const sim_options& options = {.disturbed = false}, ring_options queues = {})
        : kernel(options), queue(kernel, queues) {
        queue.enable();
    }
    /// Fills the next entry by one of liburing's helpers, which clear its user data.
    template <class Prepare>
    void add(std::uint64_t name, Prepare prepare) {
        io_uring_sqe& sqe = queue.entry();
        prepare(&sqe);
        sqe.user_data = name;
    }
    void receive(std::uint64_t name, int fd, int flags = 0) {
        add(name, [&](auto* sqe) { io_uring_prep_recv(sqe, fd, buffer, sizeof buffer, flags); });
    }
    void cancel(std::uint64_t name, std::uint64_t target) {
        add(name, [&](auto* sqe) { io_uring_prep_cancel64(sqe, target, 0); });
    }
    /// Lets this much virtual time pass; what completed meanwhile.
    std::vector<seen> pass(sim::duration time = 10ms) {
        std::vector<seen> found;
        for (const auto until = kernel.now() + time; kernel.now() < until;) {
            queue.enter(true, until);
            queue.reap([&](std::uint64_t name, completion what) {
                found.push_back({name, what.result, what.flags});
            });
        }
        return found;
    }
    int option(int fd, int name) {
        int value = 0;
        socklen_t bytes = sizeof value;
        const int error = kernel.getsockopt(fd, SOL_SOCKET, name, &value, &bytes);
        return error < 0 ? error : value;
    }
    int unacknowledged(int fd) {
        int bytes = -1;
        kernel.ioctl(fd, SIOCOUTQ, bytes);
        return bytes;
    }
    tcp_info info(int fd) {
        tcp_info what{};
        socklen_t bytes = sizeof what;
        kernel.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &what, &bytes);
        return what;
    }
    void abort(int fd) {
        const sockaddr nowhere{};
        kernel.connect(fd, &nowhere, sizeof nowhere);
    }

    sim_kernel kernel;
    ring queue;
    char buffer[4096];
};

inline constexpr unsigned more = IORING_CQE_F_MORE;
inline constexpr unsigned nonempty = IORING_CQE_F_SOCK_NONEMPTY;

} // namespace ringdown::sim_tests
