#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>

#include <ringdown/ringdown.hpp>

#include "support/packets.hpp"
#include "support/peer.hpp"
#include "support/peer_script.hpp"
#include "support/wire.hpp"
#include "support/wire_capture.hpp"
#include "support/wire_resets.hpp"

namespace ringdown::testing {

using namespace std::chrono_literals;

/// What stands in a row of the table in the guide: initiator, cause, requested, ending, delivery.
std::string row(const teardown_report& of);

/// What no report may say, whatever happened; empty when all is well.
std::string contradictions(const teardown_report& of);

/// A stream of the library and who it talks to.
struct conversation {
    stream ours;
    peer theirs;
};

/// The same with packets.
struct packet_conversation {
    packet_stream ours;
    packet_peer theirs;
};

/// A loop under test, with the wire and the reports of its connections.
class rig {
public:
    explicit rig(const loop_options& options);

    ringdown::loop on;

    /// The reports of this loop's connections, as its ledger entered them.
    [[nodiscard]] const std::vector<teardown_report>& reports() const noexcept { return reports_; }
    [[nodiscard]] const teardown_report& only_report() const;

    conversation connect(const pair_options& options = {});
    conversation connect_unix();
    packet_conversation connect_packets(int our_send_buffer = 0);
    /// A UDP socket on the loopback address, connected or not.
    datagram_socket open_datagrams(std::optional<address> peer = {});
    /// A stream of the library on a descriptor, counted as one that needs a report.
    stream take_over(int fd);
    /// Says that a connection was made by other means.
    void expect_report_of(const socket_handle& also);
    /// Likewise, of one that no stream was seen of.
    void expect_report_at(const address& ours) {
        our_ports_.insert(ours.port());
        ++made_;
    }
    [[nodiscard]] std::size_t made() const noexcept { return made_; }
    /// Whether the rig's own sink is in the ledger; a test that puts in another says so.
    void has_no_sink() noexcept { has_sink_ = false; }
    [[nodiscard]] bool has_sink() const noexcept { return has_sink_; }
    /// Whether it was a socket without a connection.
    [[nodiscard]] bool was_datagrams(const teardown_report& of) const {
        return datagrams_.contains(of.connection);
    }

    /// What the wire has counted since the test began.
    [[nodiscard]] wire_counters wire() const { return count_wire() - before_; }
    /// Checks how many RST left our sides of this test's connections; a visible skip without a
    /// network of its own.
    void check_resets(std::uint64_t expected);
    [[nodiscard]] std::uint64_t resets_so_far() { return our_resets(); }
    /// After a close, and where keepalive has found nobody, the kernel resets by itself, which no
    /// report can tell of.
    void expect_kernels_resets(std::uint64_t count) noexcept { kernels_resets_ += count; }
    /// Called by `run`: every RST that left is in a report, and every one that is left.
    void check_reported_resets();

    /// What is checked when the loop's run is over, before the rig looks for what was left.
    void at_end(std::function<void(const std::vector<teardown_report>&)> check) {
        at_end_ = std::move(check);
    }
    void run_is_over() {
        if (at_end_) at_end_(reports_);
    }

    /// Checks a time that has a lower bound by its nature. The upper one is in seconds, which a
    /// busy machine keeps; that it is exact is said on the simulated clock (punctual_test.cpp).
    void check_near(std::chrono::microseconds time, std::chrono::microseconds expected) const;

    /// Waits for the loop's connections to have ended, however they do.
    task<void> all_reported();

private:
    std::uint64_t our_resets();

    wire_counters before_;
    wire_capture& ends_;
    wire_resets resets_;
    std::set<std::uint16_t> our_ports_;
    std::uint64_t kernels_resets_ = 0;
    std::vector<teardown_report> reports_;
    std::function<void(const std::vector<teardown_report>&)> at_end_;
    std::size_t made_ = 0;
    std::set<std::uint64_t> datagrams_; // by the number of the connection
    bool has_sink_ = true;
};

/// Runs a test on a loop of its own. Afterwards nothing may be left: one report for each
/// connection and none that contradicts itself, no descriptor, no operation, no buffer, no frame.
void run(const std::function<task<void>(rig&)>& body, const loop_options& options = {});

/// Waits until `holds`, for half a minute at most.
task<bool> eventually(rig& at, std::function<bool()> holds);

/// What our kernel calls the state of a connection, as in <netinet/tcp.h>.
int tcp_state_of(const stream& of);

/// Checks that a report claims no more than arrived at the peer's kernel.
void check_claim(const teardown_report& report, std::uint64_t arrived);

/// True in builds where times are not worth checking.
constexpr bool sanitized() noexcept {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

/// Sends, and tells what came of it; a task to spawn beside an ending.
template <class Socket>
task<void> send_into(Socket& by, std::span<const std::byte> data, sent& outcome) {
    outcome = co_await by.send(data);
}
/// Receives once, likewise.
template <class Socket, class Answer>
task<void> receive_into(Socket& by, std::span<std::byte> into, Answer& outcome) {
    outcome = co_await by.recv(into);
}

inline bool is_open(const unique_descriptor& of) { return ::fcntl(of.get(), F_GETFD) >= 0; }

inline std::span<const std::byte> text(std::string_view of) { return bytes_of(of); }

} // namespace ringdown::testing
