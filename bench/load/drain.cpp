// Many open connections, and SIGTERM to the server: when has everyone got FIN, when is it gone?
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <vector>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "failure.hpp"
#include "workloads.hpp"

namespace load {
namespace {

struct peer {
    int fd = -1;
    std::uint64_t sequence = 0;
    std::size_t received = 0;
    bool quiet = false; // has had its first answer, and asks no more
};

// Either may have shrunk meanwhile.
double difference(std::uint64_t after, std::uint64_t before) {
    return static_cast<double>(after) - static_cast<double>(before);
}

class drain_load {
public:
    drain_load(const options& given, const meter& server)
        : given_(given), server_(server), peers_(given.connections), open_(given.connections),
          server_gone_(static_cast<int>(syscall(SYS_pidfd_open, given.server, 0))),
          early_(given.connections / 8) {
        must(server_gone_ >= 0, "pidfd_open");
    }

    nlohmann::ordered_json run() {
        connect_all();
        const time_ns settled = now() + static_cast<time_ns>(given_.warm_up * 1e9);
        while (now() < settled)
            turn(settled);
        resident_ = server_.resident();
        kernel_ = meter::kernel_memory();
        poll_.add(server_gone_, EPOLLIN, gone_index);
        cost_.server_before = server_.read();
        cost_.own_before = meter::read_own();
        told_ = now();
        must(kill(given_.server, SIGTERM) == 0, "kill");
        const time_ns give_up = told_ + 20'000'000'000;
        while (open_ > 0 || gone_at_ == 0) {
            // Its clock ends with it; the last look is taken while the last FIN is answered.
            turn(give_up);
            if (now() > give_up)
                fail(open_ > 0 ? "a drain gave not everybody FIN" : "a drained server did not end");
        }
        cost_.own_after = meter::read_own();
        return report();
    }

private:
    static constexpr std::uint64_t gone_index = ~std::uint64_t{0};

    nlohmann::ordered_json report() const {
        const auto since_told = [this](time_ns when) {
            return static_cast<double>(when - told_) / 1e6;
        };
        nlohmann::ordered_json made{{"seconds", since_told(gone_at_) / 1000},
                                    {"units", peers_.size()},
                                    {"last_fin_milliseconds", since_told(last_fin_)},
                                    {"gone_milliseconds", since_told(gone_at_)},
                                    {"latency_microseconds", to_json(fins_)}};
        add_cost(made, cost_);
        const double grown_by = static_cast<double>(peers_.size() - early_);
        made["resident_bytes_each"] = difference(resident_, resident_early_) / grown_by;
        made["kernel_bytes_each"] = difference(kernel_, kernel_early_) / grown_by;
        return made;
    }

    // Not all at once: the server's queue holds 4,096.
    void connect_all() {
        for (std::size_t i = 0; i < peers_.size(); ++i) {
            peers_[i].fd = connect_to(given_.port, i);
            poll_.add(peers_[i].fd, EPOLLIN, i);
            ask(i);
            while (i - answered_ > 512)
                turn(now() + 1'000'000'000);
            // What is set up for the first ones is not the price of each.
            if (i == early_) {
                resident_early_ = server_.resident();
                kernel_early_ = meter::kernel_memory();
            }
        }
        const time_ns give_up = now() + 10'000'000'000;
        while (answered_ < peers_.size()) {
            turn(give_up);
            if (now() > give_up) fail("not every connection was served before the drain");
        }
    }

    void turn(time_ns until) {
        for (const epoll_event& ready : poll_.wait(until)) {
            if (ready.data.u64 == gone_index) {
                gone_at_ = now();
                if (open_ > 0) fail("the server ended before its connections");
                return;
            }
            receive(ready.data.u64);
        }
    }

    // After the server's FIN a request has nobody to answer it.
    void ask(std::size_t index) {
        peer& peer = peers_[index];
        peer.received = 0;
        ++peer.sequence;
        const auto request = message(index, peer.sequence, request_bytes);
        const ssize_t bytes = send(peer.fd, request.data(), request.size(), MSG_NOSIGNAL);
        must(bytes == static_cast<ssize_t>(request_bytes), "sending a request");
    }

    void receive(std::size_t index) {
        peer& peer = peers_[index];
        char buffer[request_bytes];
        const ssize_t bytes = recv(peer.fd, buffer, request_bytes - peer.received, 0);
        if (bytes < 0 && errno == EAGAIN) return;
        must(bytes >= 0, "a connection was reset");
        if (bytes == 0) return finished(index);
        const auto due = message(index, peer.sequence, request_bytes).subspan(peer.received);
        if (peer.quiet || std::memcmp(buffer, due.data(), static_cast<std::size_t>(bytes)) != 0)
            fail("an answer has a wrong byte");
        peer.received += static_cast<std::size_t>(bytes);
        if (peer.received < request_bytes) return;
        if (peer.sequence == 1) ++answered_;
        if (given_.busy)
            ask(index);
        else
            peer.quiet = true;
    }

    void finished(std::size_t index) {
        const peer& peer = peers_[index];
        if (told_ == 0) fail("FIN came before the drain");
        if (peer.received % request_bytes != 0) fail("FIN came inside an answer");
        last_fin_ = now();
        fins_.add(last_fin_ - told_);
        if (open_ == 1) cost_.server_after = server_.read();
        close(peer.fd);
        --open_;
    }

    const options& given_;
    const meter& server_;
    std::vector<peer> peers_;
    std::size_t open_;
    std::size_t answered_ = 0;
    int server_gone_;
    poller poll_;
    time_ns told_ = 0;
    time_ns last_fin_ = 0;
    time_ns gone_at_ = 0;
    cost cost_;
    std::size_t early_;
    std::uint64_t resident_early_ = 0;
    std::uint64_t resident_ = 0;
    std::uint64_t kernel_early_ = 0;
    std::uint64_t kernel_ = 0;
    histogram fins_;
};

} // namespace

nlohmann::ordered_json run_drain(const options& given, const meter& server) {
    return drain_load(given, server).run();
}

} // namespace load
