// A connection for each request: whose end comes first, and how, is the workload's.
#include <cerrno>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include "failure.hpp"
#include "workloads.hpp"

namespace load {
namespace {

enum class wanted_end { fin, fin_after_ours, reset };

wanted_end end_of(const std::string& workload) {
    if (workload == "churn-client-first") return wanted_end::fin_after_ours;
    if (workload == "churn-abort") return wanted_end::reset;
    return wanted_end::fin;
}

struct peer {
    int fd = -1;
    std::uint64_t nth = 0;
    time_ns began = 0;
    std::size_t received = 0;
    bool asked = false; // the request has been sent
};

class churn_load {
public:
    churn_load(const options& given, const meter& server)
        : given_(given), end_(end_of(given.workload)), window_(given, server),
          spacing_(given.rate > 0 ? 1e9 / given.rate : 0) {}

    nlohmann::ordered_json run() {
        const time_ns begin = now();
        if (spacing_ == 0)
            for (unsigned i = 0; i < given_.connections; ++i)
                open(now());
        while (!window_.over()) {
            time_ns until = window_.next();
            if (spacing_ > 0) until = std::min(until, begin_due(begin));
            turn(until);
            window_.pass(now());
        }
        finish();
        auto report = window_.report();
        report["stuck"] = stuck_.size();
        return report;
    }

private:
    // Begins what is due by the rate; answers when the next is. Latencies count from when it was
    // due, so a server that falls behind cannot hide it.
    time_ns begin_due(time_ns begin) {
        for (;;) {
            const auto due = begin + static_cast<time_ns>(spacing_ * static_cast<double>(healthy_));
            if (due > now()) return due;
            open(due);
        }
    }

    void finish() {
        const time_ns give_up = now() + patience(given_);
        while (open_ > 0) {
            turn(give_up);
            if (now() > give_up) fail("an answer, or the end of a connection, never came");
        }
        for (const int fd : stuck_) {
            abort_on_close(fd);
            close(fd);
        }
    }

    void turn(time_ns until) {
        for (const epoll_event& ready : poll_.wait(until)) {
            const std::size_t index = ready.data.u64;
            if (!peers_[index].asked)
                ask(index, true);
            else
                receive(index, ready.events);
        }
    }

    void open(time_ns began) {
        // As many stuck ones are added as the share asks for.
        while (given_.stuck > 0 && stuck_.size() * 100 < (healthy_ + 1) * given_.stuck)
            open_stuck();
        std::size_t index = peers_.size();
        if (free_.empty()) {
            peers_.emplace_back();
        } else {
            index = free_.back();
            free_.pop_back();
        }
        ++open_;
        ++healthy_;
        const std::uint64_t nth = next_++;
        peers_[index] = {connect_to(given_.port, nth), nth, began};
        ask(index, false);
    }

    void open_stuck() {
        const std::uint64_t nth = next_++;
        const int fd = connect_to(given_.port, nth);
        const auto request = message(nth, 0, request_bytes);
        send(fd, request.data(), request.size(), MSG_NOSIGNAL);
        stuck_.push_back(fd);
    }

    // Over loopback the connection is there when connect returns, unless the queue is full.
    void ask(std::size_t index, bool polled) {
        peer& peer = peers_[index];
        const auto request = message(peer.nth, 0, request_bytes);
        const ssize_t bytes = send(peer.fd, request.data(), request.size(), MSG_NOSIGNAL);
        peer.asked = bytes == static_cast<ssize_t>(request_bytes);
        must(peer.asked || (errno == EAGAIN && !polled), "sending a request");
        const std::uint32_t events = peer.asked ? EPOLLIN | EPOLLRDHUP : EPOLLOUT;
        if (polled)
            poll_.change(peer.fd, events, index);
        else
            poll_.add(peer.fd, events, index);
    }

    void receive(std::size_t index, std::uint32_t events) {
        peer& peer = peers_[index];
        if (peer.received < request_bytes) {
            if (!receive_answer(peer)) return;
            if (end_ == wanted_end::fin_after_ours) shutdown(peer.fd, SHUT_WR);
            // Its end may have come with the answer.
            if (!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return;
        }
        char more;
        const ssize_t bytes = recv(peer.fd, &more, 1, 0);
        if (bytes < 0 && errno == EAGAIN) return;
        if (bytes > 0) fail("an answer is longer than its request");
        const bool reset = bytes < 0 && errno == ECONNRESET;
        if (end_ == wanted_end::reset && !reset) fail("FIN came where RST was due");
        must(end_ == wanted_end::reset || bytes == 0, "FIN was due, but instead there was");
        done(index);
    }

    static bool receive_answer(peer& peer) {
        char buffer[request_bytes];
        const ssize_t bytes = recv(peer.fd, buffer, request_bytes - peer.received, 0);
        if (bytes < 0 && errno == EAGAIN) return false;
        must(bytes >= 0, "an answer was lost");
        if (bytes == 0) fail("FIN came before the answer was whole");
        const auto due = message(peer.nth, 0, request_bytes).subspan(peer.received);
        if (std::memcmp(buffer, due.data(), static_cast<std::size_t>(bytes)) != 0)
            fail("an answer has a wrong byte");
        peer.received += static_cast<std::size_t>(bytes);
        return peer.received == request_bytes;
    }

    void done(std::size_t index) {
        close(peers_[index].fd);
        window_.done(now() - peers_[index].began);
        free_.push_back(index);
        --open_;
        if (spacing_ == 0 && !window_.over()) open(now());
    }

    const options& given_;
    wanted_end end_;
    window window_;
    double spacing_;
    poller poll_;
    std::vector<peer> peers_;
    std::vector<std::size_t> free_;
    std::vector<int> stuck_;
    std::size_t open_ = 0;
    std::uint64_t next_ = 0;    // connection
    std::uint64_t healthy_ = 0; // connections begun
};

} // namespace

nlohmann::ordered_json run_churn(const options& given, const meter& server) {
    return churn_load(given, server).run();
}

} // namespace load
