// Uploads that nobody wants: each goes on after the server's FIN, and must be taken to its end.
#include <algorithm>
#include <cerrno>
#include <vector>

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failure.hpp"
#include "workloads.hpp"

namespace load {
namespace {

constexpr std::size_t piece = 256 * 1024;

struct peer {
    enum class phase { answer, fin, upload, acknowledgement };
    int fd = -1;
    std::uint64_t nth = 0;
    time_ns began = 0;
    phase now = phase::answer;
    std::size_t received = 0;
    std::size_t uploaded = 0;
};

class discard_load {
public:
    discard_load(const options& given, const meter& server)
        : given_(given), peers_(given.connections), open_(given.connections),
          window_(given, server) {}

    nlohmann::ordered_json run() {
        for (std::size_t i = 0; i < peers_.size(); ++i)
            open(i);
        time_ns give_up = 0;
        while (open_ > 0) {
            for (const epoll_event& ready : poll_.wait(window_.over() ? give_up : window_.next()))
                handle(ready.data.u64);
            const bool was_over = window_.over();
            window_.pass(now());
            if (window_.over() && !was_over) give_up = now() + patience(given_);
            if (window_.over() && now() > give_up) fail("an upload was not taken to its end");
        }
        return window_.report();
    }

private:
    using phase = peer::phase;

    void open(std::size_t index) {
        const std::uint64_t nth = next_++;
        peers_[index] = {connect_to(given_.port, nth), nth, now()};
        const auto request = message(nth, 0, request_bytes);
        must(send(peers_[index].fd, request.data(), request.size(), MSG_NOSIGNAL) == request_bytes,
             "sending a request");
        poll_.add(peers_[index].fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, index);
    }

    // Edges: each step goes on until it has to wait.
    void handle(std::size_t index) {
        peer& peer = peers_[index];
        if (peer.now == phase::answer) receive_answer(peer);
        if (peer.now == phase::fin) receive_fin(peer);
        if (peer.now == phase::upload) upload(peer);
        if (peer.now != phase::acknowledgement) return;
        int queued = 0;
        must(ioctl(peer.fd, SIOCOUTQ, &queued) == 0, "SIOCOUTQ");
        if (queued == 0) done(index);
    }

    static void receive_answer(peer& peer) {
        char buffer[request_bytes];
        const ssize_t bytes = recv(peer.fd, buffer, request_bytes - peer.received, 0);
        if (bytes < 0 && errno == EAGAIN) return;
        must(bytes > 0, "an answer was lost");
        const auto due = message(peer.nth, 0, request_bytes).subspan(peer.received);
        if (std::memcmp(buffer, due.data(), static_cast<std::size_t>(bytes)) != 0)
            fail("an answer has a wrong byte");
        peer.received += static_cast<std::size_t>(bytes);
        if (peer.received == request_bytes) peer.now = phase::fin;
    }

    static void receive_fin(peer& peer) {
        char more;
        const ssize_t bytes = recv(peer.fd, &more, 1, 0);
        if (bytes < 0 && errno == EAGAIN) return;
        must(bytes == 0, "FIN was due after the answer");
        peer.now = phase::upload;
    }

    void upload(peer& peer) {
        while (peer.uploaded < given_.bytes) {
            const auto data = message(peer.nth, 1, std::min(piece, given_.bytes - peer.uploaded));
            const ssize_t bytes = send(peer.fd, data.data(), data.size(), MSG_NOSIGNAL);
            if (bytes < 0 && errno == EAGAIN) return;
            must(bytes > 0, "an upload was refused");
            peer.uploaded += static_cast<std::size_t>(bytes);
        }
        shutdown(peer.fd, SHUT_WR);
        peer.now = phase::acknowledgement;
    }

    void done(std::size_t index) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(peers_[index].fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) fail("an upload ended by an error");
        close(peers_[index].fd);
        window_.done(now() - peers_[index].began, given_.bytes);
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
    std::uint64_t next_ = 0;
};

} // namespace

nlohmann::ordered_json run_discard(const options& given, const meter& server) {
    return discard_load(given, server).run();
}

} // namespace load
