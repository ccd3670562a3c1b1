#include "clients.hpp"

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {
namespace {

void must(bool holds, const char* what) {
    if (holds) return;
    std::perror(what);
    std::_Exit(2);
}

int connect_to(std::uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(fd >= 0, "memory: socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
         "memory: connect");
    return fd;
}

void ask(int fd) {
    std::array<char, request_bytes> message{};
    must(send(fd, message.data(), message.size(), 0) == request_bytes, "memory: send");
    must(recv(fd, message.data(), message.size(), MSG_WAITALL) == request_bytes, "memory: recv");
}

[[noreturn]] void serve_orders(int orders, std::uint16_t port) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::uint32_t more = 0;
    while (read(orders, &more, sizeof more) == sizeof more)
        for (; more > 0; --more)
            ask(connect_to(port));
    std::_Exit(0); // which closes them all
}

} // namespace

clients::clients(std::uint16_t port) {
    int ends[2];
    must(pipe(ends) == 0, "memory: pipe");
    process_ = fork();
    must(process_ >= 0, "memory: fork");
    if (process_ == 0) {
        close(ends[1]);
        serve_orders(ends[0], port);
    }
    close(ends[0]);
    orders_ = ends[1];
}

clients::~clients() {
    close(orders_);
    waitpid(process_, nullptr, 0);
}

void clients::connect(std::uint32_t more) noexcept {
    must(write(orders_, &more, sizeof more) == sizeof more, "memory: write");
}

} // namespace bench
