// Asio by its tutorial: a session kept alive by its handlers. Built twice, on epoll and, with
// ASIO_HAS_IO_URING, on io_uring.
#include <array>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <set>

#include <asio.hpp>
#include <sys/socket.h>

#include "support.hpp"

using namespace servers;
using asio::ip::tcp;

namespace {

class session;

order given;
bool stopping = false;
std::set<session*> open_sessions; // of `drain` only

class session : public std::enable_shared_from_this<session> {
public:
    explicit session(tcp::socket socket) : socket_(std::move(socket)) {
        if (drains(given.what)) open_sessions.insert(this);
    }
    ~session() {
        if (drains(given.what)) open_sessions.erase(this);
    }

    void start() {
        if (echoes(given.what))
            echo();
        else
            receive_request();
        if (stopping) finish();
    }

    // FIN goes out once what is being sent has gone.
    void finish() {
        finishing_ = true;
        if (sending_) return;
        std::error_code ignored;
        socket_.shutdown(tcp::socket::shutdown_send, ignored);
    }

private:
    void echo() {
        socket_.async_read_some(asio::buffer(data_),
                                [self = shared_from_this()](std::error_code error, size_t bytes) {
                                    if (error) return;
                                    if (self->finishing_) return self->echo(); // dropped
                                    self->send_back(bytes);
                                });
    }

    void send_back(std::size_t bytes) {
        sending_ = true;
        asio::async_write(socket_, asio::buffer(data_, bytes),
                          [self = shared_from_this()](std::error_code error, size_t) {
                              self->sending_ = false;
                              if (error) return;
                              if (self->finishing_) self->finish();
                              self->echo();
                          });
    }

    void receive_request() {
        asio::async_read(socket_, asio::buffer(data_, request_bytes),
                         [self = shared_from_this()](std::error_code error, size_t) {
                             if (!error) self->answer();
                         });
    }

    void answer() {
        if (given.what == workload::cancel) return flood_until_told();
        asio::async_write(socket_, asio::buffer(data_, request_bytes),
                          [self = shared_from_this()](std::error_code error, size_t) {
                              if (!error) self->answered();
                          });
    }

    void answered() {
        if (given.what == workload::churn_abort) return abort();
        if (finishes_first(given.what)) finish();
        discard();
    }

    void abort() {
        std::error_code ignored;
        socket_.set_option(tcp::socket::linger(true, 0), ignored);
        socket_.close(ignored);
    }

    // Told to stop, it closes with a send and a receive under way, which are cancelled by that.
    void flood_until_told() {
        asio::async_write(socket_, asio::buffer(flood(), flood_bytes),
                          [self = shared_from_this()](std::error_code, size_t) {});
        asio::async_read(socket_, asio::buffer(data_, request_bytes),
                         [self = shared_from_this()](std::error_code error, size_t) {
                             if (error) return;
                             self->discard();
                             self->abort();
                         });
    }

    void discard() {
        socket_.async_read_some(asio::buffer(data_),
                                [self = shared_from_this()](std::error_code error, size_t) {
                                    if (!error) self->discard();
                                });
    }

    tcp::socket socket_;
    bool finishing_ = false;
    bool sending_ = false;
    std::array<char, 16 * 1024> data_;
};

void accept_next(tcp::acceptor& listener) {
    listener.async_accept([&listener](std::error_code error, tcp::socket accepted) {
        if (!error) std::make_shared<session>(std::move(accepted))->start();
        if (listener.is_open()) accept_next(listener);
    });
}

} // namespace

int main(int argc, char** argv) {
    given = read_order(argc, argv);
    // One thread, so nothing needs a lock.
    // One thread, so nothing needs a lock.
    asio::io_context context(ASIO_CONCURRENCY_HINT_UNSAFE);
    tcp::acceptor listener(context, tcp::v4(), listen_on(given, 0));
    asio::signal_set told(context, SIGTERM, SIGINT);
    told.async_wait([&](std::error_code, int) {
        if (!drains(given.what)) std::_Exit(0);
        stopping = true;
        listener.close();
        for (session* each : open_sessions)
            each->finish();
    });
    accept_next(listener);
    context.run();
}
