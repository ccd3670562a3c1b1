#include "wire.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sock_diag.hpp"

namespace ringdown::testing {
namespace {

using namespace std::chrono_literals;

// 0, or why not.
int set_loopback(unsigned long request, ifreq what) noexcept {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    std::strcpy(what.ifr_name, "lo");
    const int refused = ::ioctl(fd, request, &what) < 0 ? errno : 0;
    ::close(fd);
    return refused;
}

int set_loopback_address(in_addr_t to) noexcept {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(to);
    ifreq what{};
    std::memcpy(&what.ifr_addr, &name, sizeof name);
    return set_loopback(SIOCSIFADDR, what);
}

// Null when it went well, else why not.
const char* move_into_own_network() noexcept {
    if (::unshare(CLONE_NEWNET) < 0) return std::strerror(errno);
    ifreq up{};
    up.ifr_flags = IFF_UP;
    const int refused = set_loopback(SIOCSIFFLAGS, up);
    return refused ? std::strerror(refused) : nullptr;
}

struct setting {
    const char* path;
    const char* hasty;
};
constexpr std::array<setting, 4> hasty_settings{{
    {"/proc/sys/net/ipv4/tcp_keepalive_time", "0"},
    {"/proc/sys/net/ipv4/tcp_keepalive_intvl", "0"},
    {"/proc/sys/net/ipv4/tcp_early_retrans", "0"}, // a probe for a lost tail comes first
    {"/proc/sys/net/ipv4/tcp_rto_min_us", "5000"}, // since Linux 6.11
}};

bool write_setting(const char* path, const std::string& value) {
    std::ofstream file(path);
    file << value << std::flush;
    return file.good();
}

// Before main, so that no thread and no socket of this process is left outside.
const char* const refused = move_into_own_network();

// Both files name the counters in one line and give them in the next.
void read_counters(const char* path, std::map<std::string, std::uint64_t>& into) {
    std::ifstream file(path);
    for (std::string names, values; std::getline(file, names) && std::getline(file, values);) {
        std::istringstream name_words(names);
        std::istringstream value_words(values);
        std::string name, value, group;
        name_words >> group;
        value_words >> value;
        while (name_words >> name && value_words >> value)
            into[group + name] = std::strtoull(value.c_str(), nullptr, 10);
    }
}

void count_sockets_of(const char* path, std::optional<std::uint16_t> port, wire_sockets& into) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
        unsigned local = 0, remote = 0, state = 0;
        if (std::sscanf(line.c_str(), " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%x %x", &local, &remote,
                        &state) != 3)
            continue;
        if (port && local != *port && remote != *port) continue;
        constexpr unsigned time_wait = 6, listen = 10;
        if (state == time_wait)
            ++into.time_wait;
        else if (state == listen)
            ++into.listening;
        else
            ++into.open;
    }
}

wire_sockets count_both(std::optional<std::uint16_t> port) {
    wire_sockets found;
    count_sockets_of("/proc/net/tcp", port, found);
    count_sockets_of("/proc/net/tcp6", port, found);
    return found;
}

} // namespace

bool has_own_network() noexcept { return refused == nullptr; }

const char* own_network_refused() noexcept { return refused ? refused : ""; }

network_gone::network_gone() { set_loopback_address(INADDR_ANY); }
network_gone::~network_gone() { set_loopback_address(INADDR_LOOPBACK); }

network_in_haste::network_in_haste() {
    if (!has_own_network()) return; // these are everybody's settings
    keepalive_ = true;
    for (std::size_t i = 0; i < before_.size(); ++i) {
        std::ifstream(hasty_settings[i].path) >> before_[i];
        const bool written = write_setting(hasty_settings[i].path, hasty_settings[i].hasty);
        if (i < 2) keepalive_ = keepalive_ && written;
    }
}

network_in_haste::~network_in_haste() {
    for (std::size_t i = 0; i < before_.size(); ++i)
        if (!before_[i].empty()) write_setting(hasty_settings[i].path, before_[i]);
}

wire_counters wire_counters::operator-(const wire_counters& earlier) const noexcept {
    return {resets_sent - earlier.resets_sent,     established_resets - earlier.established_resets,
            abort_on_data - earlier.abort_on_data, abort_on_close - earlier.abort_on_close,
            segments_sent - earlier.segments_sent, retransmitted - earlier.retransmitted};
}

wire_counters count_wire() {
    std::map<std::string, std::uint64_t> all;
    read_counters("/proc/net/snmp", all);
    read_counters("/proc/net/netstat", all);
    return {all["Tcp:OutRsts"],           all["Tcp:EstabResets"],
            all["TcpExt:TCPAbortOnData"], all["TcpExt:TCPAbortOnClose"],
            all["Tcp:OutSegs"],           all["Tcp:RetransSegs"]};
}

wire_sockets count_sockets() { return count_both({}); }

wire_sockets count_sockets(std::uint16_t port) { return count_both(port); }

bool wire_is_quiet(std::chrono::milliseconds patience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (connections_are_open()) { // not by /proc, which lists thousands in TIME_WAIT
        if (std::chrono::steady_clock::now() >= until) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

} // namespace ringdown::testing
