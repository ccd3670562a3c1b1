#include "peers.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {

void must(bool held, const char* what) {
    if (held) return;
    std::fprintf(stderr, "late: %s: %s\n", what, std::strerror(errno));
    std::_Exit(1);
}

/// In memory that both processes share; 0 is a time that has not come.
struct peers::board {
    struct seen {
        moment::rep fin;
        moment::rep reset;
    };
    double waited; // nanoseconds, once all is over
    seen each[];   // each peer
};

namespace {

std::size_t board_bytes(std::size_t many) {
    return sizeof(double) + many * 2 * sizeof(moment::rep);
}

int connect_peer(std::uint16_t port, bool stuck) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(fd >= 0, "a peer's socket");
    if (stuck) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &peer_buffer_bytes, sizeof peer_buffer_bytes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
         "a peer's connect");
    const char word = stuck ? stuck_peer : idle_peer;
    must(send(fd, &word, 1, 0) == 1, "a peer's send");
    return fd;
}

double waited_so_far() {
    double ran = 0;
    double waited = 0;
    if (std::FILE* file = std::fopen("/proc/self/schedstat", "r")) {
        if (std::fscanf(file, "%lf %lf", &ran, &waited) != 2) waited = 0;
        std::fclose(file);
    }
    return waited;
}

void run_on(int cpu) {
    if (cpu < 0) return;
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(cpu, &only);
    sched_setaffinity(0, sizeof only, &only);
}

} // namespace

// Edge-triggered: a stuck peer is told of its end, and not of what it does not read.
peers::peers(std::uint16_t port, const scene& crowd, int cpu)
    : many_(crowd.all()),
      board_(static_cast<board*>(mmap(nullptr, board_bytes(many_), PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0))),
      process_(fork()) {
    must(process_ >= 0, "fork");
    if (process_ > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run_on(cpu);
    const int set = epoll_create1(0);
    std::vector<int> all;
    for (std::size_t i = 0; i < many_; ++i) {
        all.push_back(connect_peer(port, i < crowd.stuck));
        epoll_event wanted{.events = EPOLLRDHUP | EPOLLET, .data = {.u64 = i}};
        must(epoll_ctl(set, EPOLL_CTL_ADD, all.back(), &wanted) == 0, "epoll_ctl");
    }
    const double waited_before = waited_so_far();
    epoll_event ready[256];
    for (std::size_t left = many_; left > 0;) {
        const int count = epoll_wait(set, ready, 256, 60'000);
        must(count > 0, "a peer has not seen its end within a minute");
        for (const epoll_event& each : std::span(ready, static_cast<std::size_t>(count))) {
            board::seen& seen = board_->each[each.data.u64];
            const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
            if (each.events & (EPOLLERR | EPOLLHUP)) {
                left -= seen.reset == 0; // the kernel may tell twice
                if (seen.reset == 0) seen.reset = now;
                continue;
            }
            seen.fin = now;
            if (each.data.u64 < crowd.reset()) continue;
            close(all[each.data.u64]);
            --left;
        }
    }
    board_->waited = waited_so_far() - waited_before;
    std::_Exit(0);
}

peers::~peers() {
    if (process_ > 0) kill(process_, SIGKILL);
    if (process_ > 0) waitpid(process_, nullptr, 0);
    munmap(board_, board_bytes(many_));
}

void peers::wait() {
    int status = 0;
    must(waitpid(std::exchange(process_, -1), &status, 0) > 0, "waitpid");
    if (status != 0) std::_Exit(1); // it has said why
}

namespace {

template <class Seen>
std::vector<moment> in_order(std::span<const Seen> all, moment::rep Seen::* which) {
    std::vector<moment> times;
    for (const Seen& each : all)
        if (each.*which) times.emplace_back(moment::duration(each.*which));
    std::ranges::sort(times);
    return times;
}

} // namespace

std::vector<moment> peers::fins() const {
    return in_order(std::span<const board::seen>(board_->each, many_), &board::seen::fin);
}

std::vector<moment> peers::resets() const {
    return in_order(std::span<const board::seen>(board_->each, many_), &board::seen::reset);
}

double peers::waited_nanoseconds() const { return board_->waited; }

} // namespace bench
