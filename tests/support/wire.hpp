#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

namespace ringdown::testing {

/// True when this process has a network of its own, into which it moved before `main` began: then
/// the kernel's counters tell of its connections alone.
bool has_own_network() noexcept;

/// Why it has not, for a visible skip.
const char* own_network_refused() noexcept;

/// Takes its IPv4 address from the loopback interface, and with it every route, until the end of
/// the block. For a process with a network of its own.
class network_gone {
public:
    network_gone();
    network_gone(const network_gone&) = delete;
    network_gone& operator=(const network_gone&) = delete;
    ~network_gone();
};

/// Lets the kernel give up those who do not answer sooner, until the end of the block: sends again
/// after milliseconds, and probes by keepalive as often. Of connections made in it; does nothing
/// without a network of its own.
class network_in_haste {
public:
    network_in_haste();
    network_in_haste(const network_in_haste&) = delete;
    network_in_haste& operator=(const network_in_haste&) = delete;
    ~network_in_haste();

    /// False where keepalive is as slow as ever.
    [[nodiscard]] bool keepalive() const noexcept { return keepalive_; }

private:
    std::array<std::string, 4> before_; // of each setting; empty where there is none
    bool keepalive_ = false;
};

/// The kernel's counters of TCP in this process's network.
struct wire_counters {
    std::uint64_t resets_sent = 0;        ///< OutRsts, by either side.
    std::uint64_t established_resets = 0; ///< EstabResets
    std::uint64_t abort_on_data = 0;      ///< TCPAbortOnData: linger {1, 0}
    std::uint64_t abort_on_close = 0;     ///< TCPAbortOnClose: unread data at a close
    std::uint64_t segments_sent = 0;      ///< OutSegs
    std::uint64_t retransmitted = 0;      ///< RetransSegs

    wire_counters operator-(const wire_counters& earlier) const noexcept;
};
wire_counters count_wire();

/// Sockets that the network holds, for both IP versions: those of a descriptor and orphans.
struct wire_sockets {
    unsigned open = 0; ///< In any state but these two.
    unsigned time_wait = 0;
    unsigned listening = 0;
};
wire_sockets count_sockets();
/// Of these, sockets that have this port on either side.
wire_sockets count_sockets(std::uint16_t port);

/// Waits until nothing is open but what listens; false if something still is.
bool wire_is_quiet(std::chrono::milliseconds patience);

} // namespace ringdown::testing
