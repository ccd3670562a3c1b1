// Peers that ask and do not read: the server's send is blocked and its receive under way when it is
// told to stop, and it must reset at once.
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failure.hpp"
#include "workloads.hpp"

namespace load {
namespace {

// What the server begins to send, and never gets to its end of.
constexpr std::size_t flood_bytes = 1 << 20;
constexpr unsigned flood_period = 251;
constexpr int receive_buffer_bytes = 4096; // small, since what fits is copied for nothing

// What the kernel holds of the connection between the ports, for the side of the first.
std::size_t unsent(unsigned port, unsigned peer_port) {
    std::ifstream table("/proc/self/net/tcp");
    for (std::string line; std::getline(table, line);) {
        unsigned local = 0;
        unsigned peer = 0;
        std::size_t queued = 0;
        const int found =
            std::sscanf(line.c_str(), " %*d: %*x:%x %*x:%x %*x %zx:", &local, &peer, &queued);
        if (found == 3 && local == port && peer == peer_port) return queued;
    }
    return 0;
}

struct peer {
    int fd = -1;
    std::uint64_t nth = 0;
    time_ns told = 0; // 0: the flood has not come yet
};

class cancel_load {
public:
    cancel_load(const options& given, const meter& server)
        : given_(given), peers_(given.connections), open_(given.connections),
          window_(given, server), buffer_(64 * 1024) {}

    nlohmann::ordered_json run() {
        for (std::size_t i = 0; i < peers_.size(); ++i)
            open(i);
        time_ns give_up = 0;
        while (open_ > 0) {
            for (const epoll_event& ready : poll_.wait(window_.over() ? give_up : window_.next()))
                handle(ready.data.u64, ready.events);
            const bool was_over = window_.over();
            window_.pass(now());
            if (window_.over() && !was_over) give_up = now() + patience(given_);
            if (window_.over() && now() > give_up) fail("a flood that was stopped never ended");
        }
        return window_.report();
    }

private:
    void open(std::size_t index) {
        const std::uint64_t nth = next_++;
        peers_[index] = {connect_to(given_.port, nth, receive_buffer_bytes), nth};
        say(index, 0);
        poll_.add(peers_[index].fd, EPOLLIN, index);
    }

    void say(std::size_t index, std::uint64_t sequence) {
        const auto what = message(peers_[index].nth, sequence, request_bytes);
        must(send(peers_[index].fd, what.data(), what.size(), MSG_NOSIGNAL) == request_bytes,
             "sending a request");
    }

    // The flood's first bytes are there: all that the buffers take has been sent by the same call,
    // or follows before the server can hear of anything else. From here on only the end counts.
    void handle(std::size_t index, std::uint32_t events) {
        peer& peer = peers_[index];
        if (peer.told == 0) {
            if (events & (EPOLLERR | EPOLLHUP)) fail("a flood ended before it was to stop");
            if (peer.nth == 0) require_blocked(peer.fd);
            peer.told = now();
            poll_.change(peer.fd, EPOLLRDHUP, index);
            say(index, 1);
        } else {
            const time_ns ended = now();
            verify(peer.fd);
            done(index, ended - peer.told);
        }
    }

    // Once, while nothing is measured yet. A flood that the kernel took whole is not under way.
    void require_blocked(int fd) const {
        usleep(20'000);
        sockaddr_in ours{};
        socklen_t size = sizeof ours;
        must(getsockname(fd, reinterpret_cast<sockaddr*>(&ours), &size) == 0, "getsockname");
        if (unsent(given_.port, ntohs(ours.sin_port)) + receive_buffer_bytes >= flood_bytes)
            fail("a flood fits into the server's buffers; SO_SNDBUF must be smaller");
    }

    void verify(int fd) {
        std::size_t received = 0;
        for (;;) {
            const ssize_t bytes = recv(fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
            if (bytes < 0) break;
            if (bytes == 0) fail("FIN came where RST was due");
            for (ssize_t i = 0; i < bytes; ++i)
                if (buffer_[static_cast<std::size_t>(i)] !=
                    static_cast<char>((received + static_cast<std::size_t>(i)) % flood_period))
                    fail("a flood has a wrong byte");
            received += static_cast<std::size_t>(bytes);
        }
        must(errno == ECONNRESET, "RST was due, but instead there was");
        if (received == 0) fail("RST came before the flood");
    }

    void done(std::size_t index, time_ns took) {
        close(peers_[index].fd);
        window_.done(took);
        if (window_.over())
            --open_;
        else
            open(index);
    }

    const options& given_;
    std::vector<peer> peers_;
    std::size_t open_;
    poller poll_;
    window window_;
    std::vector<char> buffer_;
    std::uint64_t next_ = 0;
};

} // namespace

nlohmann::ordered_json run_cancel(const options& given, const meter& server) {
    return cancel_load(given, server).run();
}

} // namespace load
