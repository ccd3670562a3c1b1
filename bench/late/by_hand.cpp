// The floor: the same sockets in the same state, ended in turn by a bare loop on one thread.
#include <cerrno>
#include <thread>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peers.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;

struct accepted {
    std::vector<int> stuck;
    std::vector<int> idle;
};

void fill(int fd) {
    static const std::vector<char> flood(flood_bytes, 'f');
    while (send(fd, flood.data(), flood.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    must(errno == EAGAIN, "filling a connection");
}

accepted accept_all(int listener, const scene& crowd) {
    accepted all;
    for (std::size_t i = 0; i < crowd.all(); ++i) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        must(fd >= 0, "accept");
        char word = 0;
        must(recv(fd, &word, 1, 0) == 1, "recv");
        (word == stuck_peer ? all.stuck : all.idle).push_back(fd);
        if (word == stuck_peer) fill(fd);
    }
    return all;
}

// Closes those that answer, until the deadline; answers with those that did not.
std::vector<int> close_answered(const std::vector<int>& idle, moment deadline) {
    const int set = epoll_create1(EPOLL_CLOEXEC);
    std::vector<bool> answered(idle.size());
    for (std::size_t i = 0; i < idle.size(); ++i) {
        epoll_event wanted{.events = EPOLLRDHUP, .data = {.u64 = i}};
        must(epoll_ctl(set, EPOLL_CTL_ADD, idle[i], &wanted) == 0, "epoll_ctl");
    }
    epoll_event ready[256];
    for (auto now = moment::clock::now(); now < deadline; now = moment::clock::now()) {
        const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline - now);
        const timespec wait{.tv_sec = left / 1s, .tv_nsec = (left % 1s).count()};
        const int count = epoll_pwait2(set, ready, 256, &wait, nullptr);
        for (int i = 0; i < count; ++i) {
            answered[ready[i].data.u64] = true;
            close(idle[ready[i].data.u64]);
        }
    }
    std::vector<int> left;
    for (std::size_t i = 0; i < idle.size(); ++i)
        if (!answered[i]) left.push_back(idle[i]);
    close(set);
    return left;
}

template <class Reset>
times end(int listener, const scene& crowd, Reset reset) {
    accepted all = accept_all(listener, crowd);
    std::this_thread::sleep_for(50ms); // the kernel is done with what was sent
    const auto asked = moment::clock::now();
    const auto deadline = asked + crowd.within;
    for (const int fd : all.idle)
        shutdown(fd, SHUT_WR);
    auto left = close_answered(all.idle, deadline);
    for (const int fd : all.stuck)
        reset(fd);
    for (const int fd : left)
        reset(fd);
    return {asked, deadline};
}

} // namespace

times end_by_connect(int listener, const scene& crowd) {
    return end(listener, crowd, [](int fd) {
        const sockaddr nowhere{.sa_family = AF_UNSPEC, .sa_data = {}};
        connect(fd, &nowhere, sizeof nowhere);
        close(fd);
    });
}

times end_by_linger(int listener, const scene& crowd) {
    return end(listener, crowd, [](int fd) {
        const linger abort{.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
        close(fd);
    });
}

} // namespace bench
