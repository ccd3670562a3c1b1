// Every connection has one message on its way; what comes back must be the same.
#include <cerrno>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include "failure.hpp"
#include "workloads.hpp"

namespace load {
namespace {

struct peer {
    int fd = -1;
    std::uint64_t sequence = 0;
    std::size_t sent = 0;
    std::size_t received = 0;
    time_ns began = 0;
    bool finished = false;
};

class echo_load {
public:
    echo_load(const options& given, const meter& server)
        : given_(given), peers_(given.connections), left_(given.connections),
          window_(given, server), buffer_(given.bytes + 1) {}

    nlohmann::ordered_json run() {
        for (std::size_t i = 0; i < peers_.size(); ++i) {
            peers_[i].fd = connect_to(given_.port, i);
            poll_.add(peers_[i].fd, EPOLLOUT, i);
        }
        time_ns give_up = now() + 10'000'000'000;
        while (answered_ < peers_.size()) {
            for (const epoll_event& ready : poll_.wait(give_up))
                handle(ready.data.u64, ready.events);
            if (now() > give_up) fail("not every connection had its first answer");
        }
        window_.start();
        while (left_ > 0) {
            for (const epoll_event& ready : poll_.wait(window_.over() ? give_up : window_.next()))
                handle(ready.data.u64, ready.events);
            const bool was_over = window_.over();
            window_.pass(now());
            if (window_.over() && !was_over) give_up = now() + patience(given_);
            if (window_.over() && now() > give_up) fail("an answer, or FIN, never came");
        }
        return window_.report();
    }

private:
    std::span<const char> message_of(std::size_t index) const {
        return message(index, peers_[index].sequence, given_.bytes);
    }

    void handle(std::size_t index, std::uint32_t events) {
        if (events & EPOLLOUT)
            send_rest(index);
        else
            receive(index);
    }

    void begin(std::size_t index) {
        peer& peer = peers_[index];
        peer.received = peer.sent = 0;
        peer.began = now();
        ++peer.sequence;
        send_rest(index);
    }

    void send_rest(std::size_t index) {
        peer& peer = peers_[index];
        if (peer.sequence == 0) { // it has just connected
            poll_.change(peer.fd, EPOLLIN, index);
            return begin(index);
        }
        const auto rest = message_of(index).subspan(peer.sent);
        const ssize_t bytes = send(peer.fd, rest.data(), rest.size(), MSG_NOSIGNAL);
        must(bytes >= 0 || errno == EAGAIN, "send");
        const bool waited = peer.sent > 0 || bytes < 0;
        if (bytes > 0) peer.sent += static_cast<std::size_t>(bytes);
        const bool waits = peer.sent < given_.bytes;
        if (waits || waited) poll_.change(peer.fd, waits ? EPOLLIN | EPOLLOUT : EPOLLIN, index);
    }

    void receive(std::size_t index) {
        peer& peer = peers_[index];
        const ssize_t bytes = recv(peer.fd, buffer_.data(), buffer_.size(), 0);
        if (bytes < 0 && errno == EAGAIN) return;
        must(bytes >= 0, "an echo ended by an error");
        if (bytes == 0) return ended(index);
        const auto got = static_cast<std::size_t>(bytes);
        if (peer.received + got > peer.sent) fail("an echo is longer than its message");
        if (std::memcmp(buffer_.data(), message_of(index).data() + peer.received, got) != 0)
            fail("an echo has a wrong byte");
        peer.received += got;
        if (peer.received < given_.bytes) return;
        if (peer.sequence == 1) ++answered_;
        window_.done(now() - peer.began);
        if (!window_.over()) return begin(index);
        shutdown(peer.fd, SHUT_WR);
        peer.finished = true;
    }

    void ended(std::size_t index) {
        if (!peers_[index].finished) fail("FIN came before the echo was whole");
        close(peers_[index].fd);
        --left_;
    }

    const options& given_;
    std::vector<peer> peers_;
    std::size_t left_;
    std::size_t answered_ = 0; // connections that have had their first echo
    poller poll_;
    window window_;
    std::vector<char> buffer_;
};

} // namespace

nlohmann::ordered_json run_echo(const options& given, const meter& server) {
    return echo_load(given, server).run();
}

} // namespace load
