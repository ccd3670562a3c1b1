#include "support.hpp"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

namespace servers {
namespace {

constexpr struct {
    std::string_view name;
    workload what;
} workloads[] = {
    {"echo", workload::echo},
    {"churn-server-first", workload::churn_server_first},
    {"churn-client-first", workload::churn_client_first},
    {"churn-abort", workload::churn_abort},
    {"discard", workload::discard},
    {"drain", workload::drain},
    {"cancel", workload::cancel},
};

[[noreturn]] void refuse(const char* program, const char* kind, const char* value) {
    std::fprintf(stderr, "%s: %s '%s'; usage: WORKLOAD PORT, where WORKLOAD is one of", program,
                 kind, value);
    for (const auto& [name, what] : workloads)
        std::fprintf(stderr, " %s", name.data());
    std::fputs(", and PORT from 1 to 65535\n", stderr);
    std::exit(2);
}

void raise_descriptor_limit() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

} // namespace

void must(bool held, const char* what) {
    if (held) return;
    std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

order read_order(int argc, char** argv) {
    if (argc != 3) refuse(argv[0], "two arguments are needed, not", argc > 3 ? argv[3] : "");
    order read;
    const auto* found = std::begin(workloads);
    while (found != std::end(workloads) && found->name != argv[1])
        ++found;
    if (found == std::end(workloads)) refuse(argv[0], "no workload is called", argv[1]);
    read.what = found->what;
    const char* end = argv[2] + std::strlen(argv[2]);
    const auto [rest, error] = std::from_chars(argv[2], end, read.port);
    if (error != std::errc{} || rest != end || read.port == 0)
        refuse(argv[0], "not a port:", argv[2]);
    raise_descriptor_limit();
    return read;
}

const char* flood() {
    static const std::vector<char> made = [] {
        std::vector<char> bytes(flood_bytes);
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<char>(i % 251);
        return bytes;
    }();
    return made.data();
}

int listen_on(const order& given, int socket_flags) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | socket_flags, 0);
    must(fd >= 0, "socket");
    const int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (given.what == workload::cancel) {
        flood(); // made before anybody asks
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &flood_buffer_bytes, sizeof flood_buffer_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(given.port);
    must(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "bind");
    must(listen(fd, 4096) == 0, "listen");
    return fd;
}

int stop_signals() {
    sigset_t asked;
    sigemptyset(&asked);
    sigaddset(&asked, SIGTERM);
    sigaddset(&asked, SIGINT);
    sigprocmask(SIG_BLOCK, &asked, nullptr);
    const int fd = signalfd(-1, &asked, SFD_CLOEXEC | SFD_NONBLOCK);
    must(fd >= 0, "signalfd");
    return fd;
}

} // namespace servers
