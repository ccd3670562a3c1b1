// Hand-written liburing, by what is known to be best: one issuer, deferred work, a registered
// ring, multishot accept and receive into a ring of provided buffers, sends straight out of them,
// FIN by shutdown(2), closes that complete silently. With COALESCE_FIN the answer is also held
// back until FIN (MSG_MORE).
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include <liburing.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "liburing_client.hpp"
#include "provided_buffers.hpp"
#include "support.hpp"

using namespace servers;

namespace {

#ifdef COALESCE_FIN
constexpr bool coalesce = true;
#else
constexpr bool coalesce = false;
#endif

class server {
public:
    explicit server(order given)
        : order_(given), listener_(listen_on(given, 0)), stop_(stop_signals()) {
        io_uring_params params{};
        params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                       IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE;
        params.cq_entries = 16384;
        must(io_uring_queue_init_params(1024, &ring_, &params) == 0, "io_uring");
        must(io_uring_register_ring_fd(&ring_) == 1, "registering the ring");
        buffers_.open(ring_);
        clients_.resize(64);
        io_uring_sqe* sqe = entry();
        io_uring_prep_multishot_accept(sqe, listener_, nullptr, nullptr, SOCK_CLOEXEC);
        tag(sqe, event::accepted, listener_);
        sqe = entry();
        io_uring_prep_poll_add(sqe, stop_, POLLIN);
        tag(sqe, event::stop, stop_);
    }

    void run() {
        while (!stopping_ || open_ > 0) {
            io_uring_submit_and_wait(&ring_, 1);
            io_uring_cqe* done;
            unsigned head;
            unsigned count = 0;
            io_uring_for_each_cqe(&ring_, head, done) {
                ++count;
                handle(*done);
            }
            io_uring_cq_advance(&ring_, count);
            buffers_.publish();
            for (const int fd : std::exchange(starved_, {}))
                receive(fd);
        }
    }

private:
    using phase = client::phase;

    io_uring_sqe* entry() {
        io_uring_sqe* got = io_uring_get_sqe(&ring_);
        while (!got) {
            io_uring_submit(&ring_);
            got = io_uring_get_sqe(&ring_);
        }
        return got;
    }
    static void tag(io_uring_sqe* sqe, event what, int fd) {
        sqe->user_data = static_cast<std::uint64_t>(what) << 32 | static_cast<unsigned>(fd);
    }

    void handle(const io_uring_cqe& done) {
        const auto fd = static_cast<int>(done.user_data & 0xffffffff);
        switch (static_cast<event>(done.user_data >> 32)) {
        case event::accepted:
            return accepted(done);
        case event::received:
            return received(fd, done);
        case event::sent:
            return sent(fd, done.res);
        case event::discarded:
            return discarded(fd, done.res);
        case event::stop:
            return stop();
        case event::closed:
            return;
        }
    }

    void accepted(const io_uring_cqe& done) {
        must((done.flags & IORING_CQE_F_MORE) || stopping_, "accepting ended");
        if (done.res < 0) return;
        const int fd = done.res;
        if (clients_.size() <= static_cast<std::size_t>(fd)) clients_.resize(fd * 2);
        client& client = clients_[fd];
        client.now = phase::serving;
        client.peer_ended = false;
        client.have = client.sent = 0;
        ++open_;
        receive(fd);
        if (stopping_) finish(fd);
    }

    // One that stays armed sees the peer's FIN without another submission. Before an abort nothing
    // may be in flight, and an upload is better dropped than received.
    void receive(int fd) {
        client& client = clients_[fd];
        io_uring_sqe* sqe = entry();
        if (echoes(order_.what) || order_.what == workload::churn_server_first ||
            order_.what == workload::churn_client_first || order_.what == workload::cancel)
            io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
        else
            io_uring_prep_recv(sqe, fd, nullptr, request_bytes - client.have, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = provided_buffers::group;
        tag(sqe, event::received, fd);
        client.receiving = true;
    }

    void received(int fd, const io_uring_cqe& done) {
        client& client = clients_[fd];
        client.receiving = done.flags & IORING_CQE_F_MORE;
        if (done.res > 0) {
            const auto id = static_cast<std::uint16_t>(done.flags >> IORING_CQE_BUFFER_SHIFT);
            take(fd, {id, static_cast<std::uint32_t>(done.res)});
            if (!client.receiving && client.have < request_bytes) receive(fd);
        } else if (done.res == -ENOBUFS) {
            client.receiving = true;
            starved_.push_back(fd);
        } else if (!client.receiving) {
            client.peer_ended = true;
            close_when_joined(fd);
        }
    }

    void take(int fd, buffer_queue::filled data) {
        client& client = clients_[fd];
        if (client.now == phase::flooding) {
            buffers_.give_back(data.id);
            client.have += data.bytes;
            if (client.have >= request_bytes) abort(fd); // both operations end by it
        } else if (client.now == phase::finishing || client.have == request_bytes) {
            buffers_.give_back(data.id);
        } else if (echoes(order_.what)) {
            client.queued.push(data);
            if (!client.sending) send_next(fd);
        } else {
            const auto wanted = request_bytes - client.have;
            const auto bytes = data.bytes < wanted ? data.bytes : wanted;
            std::memcpy(client.request + client.have, buffers_.at(data.id), bytes);
            client.have += static_cast<std::uint32_t>(bytes);
            buffers_.give_back(data.id);
            if (client.have == request_bytes && order_.what == workload::cancel)
                begin_flood(fd);
            else if (client.have == request_bytes)
                send(fd, client.request, request_bytes,
                     coalesce && finishes_first(order_.what) ? MSG_MORE : 0);
        }
    }

    void begin_flood(int fd) {
        clients_[fd].now = phase::flooding;
        clients_[fd].have = 0;
        send(fd, flood(), flood_bytes, MSG_WAITALL);
    }

    void send_next(int fd) {
        const client& client = clients_[fd];
        const auto& [id, bytes] = client.queued.front();
        send(fd, buffers_.at(id) + client.sent, bytes - client.sent, 0);
    }

    void send(int fd, const char* data, std::size_t bytes, int flags) {
        io_uring_sqe* sqe = entry();
        io_uring_prep_send(sqe, fd, data, bytes, MSG_NOSIGNAL | flags);
        tag(sqe, event::sent, fd);
        clients_[fd].sending = true;
    }

    void sent(int fd, int result) {
        client& client = clients_[fd];
        client.sending = false;
        if (echoes(order_.what))
            echoed(fd, result);
        else if (client.now == phase::flooding)
            client.peer_ended = true; // it was reset, by whomever
        else if (result != static_cast<int>(request_bytes))
            shutdown(fd, SHUT_RDWR);
        else
            answered(fd);
        close_when_joined(fd);
    }

    void echoed(int fd, int result) {
        client& client = clients_[fd];
        if (result < 0) {
            while (!client.queued.empty())
                pop(client);
            shutdown(fd, SHUT_RDWR);
            return;
        }
        client.sent += static_cast<std::uint32_t>(result);
        if (client.sent == client.queued.front().bytes) pop(client);
        if (!client.queued.empty())
            send_next(fd);
        else if (stopping_ && client.now == phase::serving)
            finish(fd);
    }

    void pop(client& client) {
        buffers_.give_back(client.queued.front().id);
        client.queued.pop();
        client.sent = 0;
    }

    void answered(int fd) {
        if (order_.what == workload::churn_abort) {
            abort(fd);
        } else if (finishes_first(order_.what)) {
            finish(fd);
            if (order_.what == workload::discard) discard(fd);
        }
    }

    // RST leaves at once, whatever is in flight.
    void abort(int fd) {
        const sockaddr unspecified{.sa_family = AF_UNSPEC, .sa_data = {}};
        connect(fd, &unspecified, sizeof unspecified);
        clients_[fd].peer_ended = true;
    }

    void finish(int fd) {
        shutdown(fd, SHUT_WR);
        clients_[fd].now = phase::finishing;
    }

    void discard(int fd) {
        io_uring_sqe* sqe = entry();
        io_uring_prep_recv(sqe, fd, nullptr, 1 << 30, MSG_TRUNC);
        tag(sqe, event::discarded, fd);
        clients_[fd].receiving = true;
    }

    void discarded(int fd, int result) {
        if (result > 0) return discard(fd);
        clients_[fd].receiving = false;
        clients_[fd].peer_ended = true;
        close_when_joined(fd);
    }

    void close_when_joined(int fd) {
        client& ended = clients_[fd];
        if (!ended.peer_ended || ended.receiving || ended.sending || ended.now == phase::closed)
            return;
        ended.now = phase::closed;
        --open_;
        io_uring_sqe* sqe = entry();
        io_uring_prep_close(sqe, fd);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        tag(sqe, event::closed, fd);
    }

    void stop() {
        if (!drains(order_.what)) _exit(0);
        stopping_ = true;
        // What was accepted meanwhile is ended as it comes; the descriptor closes with the ring.
        io_uring_sqe* sqe = entry();
        io_uring_prep_cancel_fd(sqe, listener_, 0);
        tag(sqe, event::closed, listener_);
        for (std::size_t fd = 0; fd < clients_.size(); ++fd)
            if (clients_[fd].now == phase::serving && !clients_[fd].sending)
                finish(static_cast<int>(fd));
    }

    order order_;
    int listener_;
    int stop_;
    io_uring ring_{};
    provided_buffers buffers_;
    bool stopping_ = false;
    std::size_t open_ = 0;
    std::deque<client> clients_; // which stay where they are: the kernel reads from them
    std::vector<int> starved_;
};

} // namespace

int main(int argc, char** argv) {
    static server only(read_order(argc, argv));
    only.run();
}
