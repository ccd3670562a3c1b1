// Hand-written epoll as it is usually written: level-triggered, one descriptor one state. With
// COALESCE_FIN it also holds the answer back until FIN (MSG_MORE) and drops uploads uncopied.
#include <cerrno>
#include <string>
#include <vector>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.hpp"

using namespace servers;

namespace {

#ifdef COALESCE_FIN
constexpr bool coalesce = true;
#else
constexpr bool coalesce = false;
#endif

enum class phase : unsigned char {
    closed,
    serving,   ///< Requests are answered.
    flooding,  ///< `cancel`: more is being sent than the peer takes.
    finishing, ///< FIN was sent; the peer's is waited for.
};

struct client {
    phase now = phase::closed;
    std::string pending;     // echo: what the kernel did not take
    std::size_t have = 0;    // of the request
    std::size_t flooded = 0; // `cancel`: sent so far
    char request[request_bytes];
};

class server {
public:
    explicit server(order given)
        : order_(given), listener_(listen_on(given, SOCK_NONBLOCK)), stop_(stop_signals()),
          poll_(epoll_create1(EPOLL_CLOEXEC)) {
        must(poll_ >= 0, "epoll_create1");
        watch(EPOLL_CTL_ADD, listener_, EPOLLIN);
        watch(EPOLL_CTL_ADD, stop_, EPOLLIN);
    }

    void run() {
        epoll_event ready[256];
        while (!stopping_ || open_ > 0) {
            const int count = epoll_wait(poll_, ready, 256, -1);
            for (int i = 0; i < count; ++i)
                handle(ready[i].data.fd, ready[i].events);
        }
    }

private:
    void watch(int operation, int fd, std::uint32_t events) const {
        epoll_event wanted{};
        wanted.events = events;
        wanted.data.fd = fd;
        must(epoll_ctl(poll_, operation, fd, &wanted) == 0, "epoll_ctl");
    }

    void handle(int fd, std::uint32_t events) {
        if (fd == listener_)
            accept_all();
        else if (fd == stop_)
            stop();
        else if (clients_[fd].now == phase::flooding)
            flood_on(fd, events);
        else if (events & EPOLLOUT)
            flush(fd);
        else if (clients_[fd].now == phase::finishing)
            discard(fd);
        else if (echoes(order_.what))
            echo(fd);
        else
            answer(fd);
    }

    void accept_all() {
        for (;;) {
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            if (clients_.size() <= static_cast<std::size_t>(fd)) clients_.resize(fd * 2 + 64);
            clients_[fd].now = phase::serving;
            clients_[fd].have = 0;
            ++open_;
            watch(EPOLL_CTL_ADD, fd, EPOLLIN);
        }
    }

    void close_client(int fd) {
        clients_[fd].now = phase::closed;
        clients_[fd].pending.clear();
        --open_;
        close(fd);
    }

    void answer(int fd) {
        client& client = clients_[fd];
        const ssize_t bytes =
            recv(fd, client.request + client.have, request_bytes - client.have, 0);
        if (bytes <= 0) {
            if (bytes == 0 || errno != EAGAIN) close_client(fd);
            return;
        }
        client.have += static_cast<std::size_t>(bytes);
        if (client.have < request_bytes) return;
        if (order_.what == workload::cancel) return begin_flood(fd);
        const bool finish = finishes_first(order_.what);
        const int hold = coalesce && finish ? MSG_MORE : 0;
        // 64 bytes into an empty queue go whole or not at all.
        if (send(fd, client.request, request_bytes, MSG_NOSIGNAL | hold) != request_bytes) {
            close_client(fd);
        } else if (finish) {
            shutdown(fd, SHUT_WR);
            client.now = phase::finishing;
        } else if (order_.what == workload::churn_abort) {
            abort_client(fd);
        } else {
            client.now = phase::finishing; // the peer's FIN is answered by the close
        }
    }

    void abort_client(int fd) {
        const linger abort{1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
        close_client(fd);
    }

    void begin_flood(int fd) {
        clients_[fd].now = phase::flooding;
        clients_[fd].have = clients_[fd].flooded = 0;
        watch(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT);
        flood_on(fd, EPOLLOUT);
    }

    // Told to stop, it resets with the flood half sent.
    void flood_on(int fd, std::uint32_t events) {
        client& client = clients_[fd];
        if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
            const ssize_t bytes = recv(fd, buffer_, sizeof buffer_, 0);
            if (bytes == 0 || (bytes < 0 && errno != EAGAIN)) return close_client(fd);
            client.have += bytes < 0 ? 0 : static_cast<std::size_t>(bytes);
            if (client.have >= request_bytes) return abort_client(fd);
        }
        if (!(events & EPOLLOUT) || client.flooded == flood_bytes) return;
        const ssize_t sent =
            send(fd, flood() + client.flooded, flood_bytes - client.flooded, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return close_client(fd);
        client.flooded += sent < 0 ? 0 : static_cast<std::size_t>(sent);
        if (client.flooded == flood_bytes) watch(EPOLL_CTL_MOD, fd, EPOLLIN);
    }

    void discard(int fd) {
        const ssize_t bytes =
            coalesce ? recv(fd, nullptr, 1 << 20, MSG_TRUNC) : recv(fd, buffer_, sizeof buffer_, 0);
        if (bytes == 0 || (bytes < 0 && errno != EAGAIN)) close_client(fd);
    }

    void echo(int fd) {
        const ssize_t bytes = recv(fd, buffer_, sizeof buffer_, 0);
        if (bytes <= 0) {
            if (bytes == 0 || errno != EAGAIN) close_client(fd);
            return;
        }
        const ssize_t sent = send(fd, buffer_, static_cast<std::size_t>(bytes), MSG_NOSIGNAL);
        if (sent == bytes) return;
        if (sent < 0 && errno != EAGAIN) {
            close_client(fd);
            return;
        }
        const std::size_t gone = sent < 0 ? 0 : static_cast<std::size_t>(sent);
        clients_[fd].pending.assign(buffer_ + gone, static_cast<std::size_t>(bytes) - gone);
        watch(EPOLL_CTL_MOD, fd, EPOLLOUT); // nothing more is read until this is gone
    }

    void flush(int fd) {
        std::string& pending = clients_[fd].pending;
        const ssize_t sent = send(fd, pending.data(), pending.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) close_client(fd);
            return;
        }
        pending.erase(0, static_cast<std::size_t>(sent));
        if (!pending.empty()) return;
        watch(EPOLL_CTL_MOD, fd, EPOLLIN);
        if (stopping_) finish(fd);
    }

    void finish(int fd) {
        shutdown(fd, SHUT_WR);
        clients_[fd].now = phase::finishing;
    }

    void stop() {
        if (!drains(order_.what)) _exit(0);
        accept_all();
        close(listener_);
        close(stop_);
        stopping_ = true;
        for (std::size_t fd = 0; fd < clients_.size(); ++fd)
            if (clients_[fd].now == phase::serving && clients_[fd].pending.empty())
                finish(static_cast<int>(fd));
    }

    order order_;
    int listener_;
    int stop_;
    int poll_;
    bool stopping_ = false;
    std::size_t open_ = 0;
    std::vector<client> clients_;
    char buffer_[64 * 1024];
};

} // namespace

int main(int argc, char** argv) {
    static server only(read_order(argc, argv));
    only.run();
}
