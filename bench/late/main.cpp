// How late the connections of a crowd end past what was asked for, beside bare system calls in
// turn.
#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../command_line/command_line.hpp"
#include "peers.hpp"

namespace {

using namespace std::chrono_literals;
using bench::moment;
using bench::scene;
using json = nlohmann::ordered_json;

constexpr std::array<scene, 3> scenes{{
    {"stuck-1000", "1,000 stuck connections", 1'000, 0, 0, 500ms},
    {"silent-15000", "15,000 idle connections, none answers FIN", 0, 15'000, 0, 1'500ms},
    {"beside-15000", "1,000 stuck connections beside 15,000 idle ones", 1'000, 0, 15'000, 1'500ms},
}};

struct contestant {
    const char* name;
    bench::times (*end)(int listener, const scene& crowd);
};
constexpr std::array<contestant, 3> contestants{{
    {"ringdown", bench::end_by_ringdown},
    {"connect", bench::end_by_connect},
    {"linger", bench::end_by_linger},
}};

struct options {
    int rounds = 5;
    std::vector<std::string> only;
    bool quick = false;
    bool json = false;
};

// The first CPU that this process may use is the server's, the second that of the peers.
struct two_cpus {
    int server = -1;
    int peers = -1;
};

two_cpus choose_cpus() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof allowed, &allowed);
    two_cpus chosen;
    for (int cpu = 0; cpu < CPU_SETSIZE && chosen.peers < 0; ++cpu)
        if (CPU_ISSET(cpu, &allowed)) (chosen.server < 0 ? chosen.server : chosen.peers) = cpu;
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(chosen.server, &own);
    sched_setaffinity(0, sizeof own, &own);
    return chosen;
}

double waited_nanoseconds() {
    double ran = 0;
    double waited = 0;
    std::ifstream("/proc/self/schedstat") >> ran >> waited;
    return waited;
}

// On a port of the kernel's choice, so that TIME_WAIT of another run is not met.
int listen_anywhere(std::uint16_t& port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bench::server_buffer_bytes,
               sizeof bench::server_buffer_bytes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    bench::must(bind(fd, reinterpret_cast<const sockaddr*>(&address), bytes) == 0, "bind");
    bench::must(listen(fd, 4096) == 0, "listen");
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes);
    port = ntohs(address.sin_port);
    return fd;
}

json past(const std::vector<moment>& seen, moment due) {
    const auto microseconds = [&](std::size_t place) {
        return std::chrono::duration<double, std::micro>(seen[place] - due).count();
    };
    if (seen.empty()) return nullptr;
    return {{"p50", microseconds(seen.size() / 2)},
            {"p99", microseconds(seen.size() * 99 / 100)},
            {"max", microseconds(seen.size() - 1)}};
}

json measure(const contestant& who, const scene& crowd, int peers_cpu) {
    std::uint16_t port = 0;
    const int listener = listen_anywhere(port);
    bench::peers peers(port, crowd, peers_cpu);
    const auto began = moment::clock::now();
    const double waited_before = waited_nanoseconds();
    const bench::times due = who.end(listener, crowd);
    peers.wait();
    const double waited = waited_nanoseconds() - waited_before + peers.waited_nanoseconds();
    const std::chrono::duration<double, std::nano> took = moment::clock::now() - began;
    close(listener);
    const auto fins = peers.fins();
    const auto resets = peers.resets();
    errno = 0;
    bench::must(fins.size() >= crowd.all() - crowd.stuck, "idle peers got no FIN");
    bench::must(resets.size() == crowd.reset(), "not those were reset who were to be");
    bench::must(resets.front() >= due.deadline, "a connection was reset before its deadline");
    return {{"reset", past(resets, due.deadline)},
            {"fin", crowd.stuck == crowd.all() ? json(nullptr) : past(fins, due.asked)},
            {"waited_share", waited / took.count()}};
}

// A tenth of everybody, to see that all runs; and no more than there are descriptors for.
scene fit(scene whole, bool quick) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const std::size_t possible = std::min<std::size_t>(limit.rlim_max, 20'000) - 100;
    const std::size_t divisor =
        std::max<std::size_t>(quick ? 10 : 1, (whole.all() + possible - 1) / possible);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 20'000);
    setrlimit(RLIMIT_NOFILE, &limit);
    whole.stuck /= divisor;
    whole.silent /= divisor;
    whole.answering /= divisor;
    return whole;
}

void print_table(const json& rows) {
    std::printf("microseconds past the deadline (reset) or past the asking (fin), in each round\n");
    for (const json& row : rows) {
        std::printf("\n%s: %s\n", row["name"].get<std::string>().c_str(),
                    row["title"].get<std::string>().c_str());
        for (const auto& [who, rounds] : row["rounds"].items())
            for (const json& round : rounds)
                for (const char* what : {"reset", "fin"})
                    if (!round[what].is_null())
                        std::printf("%-9s %-5s  p50 %9.0f  p99 %9.0f  max %9.0f\n", who.c_str(),
                                    what, round[what]["p50"].get<double>(),
                                    round[what]["p99"].get<double>(),
                                    round[what]["max"].get<double>());
    }
}

} // namespace

int main(int argc, char** argv) {
    command_line::program app("Measures how late the connections of a crowd end.", "late");
    options given;
    app.add("--rounds", given.rounds, "in each, everyone takes a turn [5]").within(1, 1000);
    app.add("--only", given.only, "stuck-1000, silent-15000, beside-15000")
        .one_of({"stuck-1000", "silent-15000", "beside-15000"});
    app.add_flag("--quick", given.quick, "a tenth of the connections");
    app.add_flag("--json", given.json, "print JSON instead of a table");
    if (const auto status = app.read(argc, argv)) return *status;

    const two_cpus cpus = choose_cpus();
    auto rows = json::array();
    for (const scene& each : scenes) {
        if (!given.only.empty() && std::ranges::find(given.only, each.name) == given.only.end())
            continue;
        const scene crowd = fit(each, given.quick);
        json rounds;
        for (const contestant& who : contestants)
            rounds[who.name] = json::array();
        for (int round = 0; round < given.rounds; ++round)
            for (std::size_t turn = 0; turn < contestants.size(); ++turn) {
                const contestant& who =
                    contestants[(turn + static_cast<std::size_t>(round)) % contestants.size()];
                rounds[who.name].push_back(measure(who, crowd, cpus.peers));
            }
        rows.push_back({{"name", each.name},
                        {"title", each.title},
                        {"connections", crowd.all()},
                        {"resets", crowd.reset()},
                        {"rounds", rounds}});
    }
    if (given.json)
        std::printf("%s\n", json{{"rows", rows}}.dump().c_str());
    else
        print_table(rows);
    return 0;
}
