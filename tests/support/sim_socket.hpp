#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "sim_file.hpp"
#include "sim_peer.hpp"

namespace ringdown {

/// What really happened to a simulated connection, to hold a report against.
///
/// Ends and resets count until the library's close, that close itself included; what comes later,
/// which no report can know, has fields of its own.
struct sim_truth {
    std::uint64_t accepted = 0;     ///< Payload bytes that our kernel took from the library.
    std::uint64_t arrived = 0;      ///< Of these, what the peer's kernel took.
    std::uint64_t acknowledged = 0; ///< Of these, what our kernel learned of before RST or end.
    std::uint64_t from_peer = 0;    ///< Payload bytes of the peer that our kernel took.
    std::uint64_t taken = 0;        ///< Of these, received or discarded by the library.
    std::uint64_t dropped = 0;      ///< Of these, thrown away unread by a reset or the close.
    bool fin_sent = false;          ///< It left, behind every byte; queued is not sent.
    bool fin_with_data = false;     ///< In one segment with the last bytes.
    bool fin_arrived = false;
    bool fin_acknowledged = false;
    bool peer_finished = false; ///< Its FIN arrived while the connection existed.
    bool reset_sent = false;
    bool reset_received = false; ///< While the connection existed.
    bool timed_out = false;      ///< Given up by our kernel, ETIMEDOUT.
    bool finish_told = false;    ///< A receive of the library has answered the peer's FIN.
    bool reset_told = false;     ///< Some call of the library has answered the peer's reset.
    bool peer_finished_later = false;
    bool reset_sent_later = false;
    bool reset_received_later = false;
    std::string reset_cause = {}; ///< Why our kernel sent RST.
    /// When that happened; a report cannot know what came after its sample, just before the close.
    sim::time_point fin_acknowledged_at{}, peer_finished_at{}, reset_received_at{}, closed_at{};
    bool closed = false;        ///< The library closed the descriptor.
    bool closed_late = false;   ///< ... after bytes had come since it asked for that.
    bool closed_in_use = false; ///< ... while an operation was still in flight on it.
    std::size_t sends_at_once_max = 0;
    std::size_t sends = 0; ///< Operations.
};

namespace sim {

/// A TCP socket as our kernel sees it. Calls answer like system calls, and never block.
class tcp_socket final : public file {
public:
    enum state : unsigned char { // Linux's numbers
        established = 1,
        syn_received = 3,
        fin_wait1 = 4,
        fin_wait2 = 5,
        closed = 7,
        close_wait = 8,
        last_ack = 9,
        closing = 11,
    };

    explicit tcp_socket(world& in); ///< Not connected.
    tcp_socket(world& in, const peer_script& script, unsigned short peer_port);

    int send(const char* data, std::size_t bytes, bool more);
    int receive(char* to, std::size_t bytes, bool discard, bool peek);
    int shutdown(int how);
    int disconnect(); ///< connect(AF_UNSPEC)
    int listen();
    /// Puts one who has connected into the queue of what listens, or takes the first out of it.
    /// @{
    void knock(const peer_script& script);
    std::optional<peer_script> next_in_queue();
    /// @}
    int get_option(int level, int name, void* value, socklen_t& bytes);
    int set_option(int level, int name, const void* value, socklen_t bytes);
    [[nodiscard]] int queued_out() const;
    [[nodiscard]] int queued_in() const {
        return state_ == syn_received ? 0 : static_cast<int>(incoming_.size());
    }
    /// What TCP_CM_INQ says, if it was asked for.
    /// @{
    [[nodiscard]] bool tells_inq();
    [[nodiscard]] int queued_in_with_fin() const {
        return static_cast<int>(incoming_.size()) + peer_done_;
    }
    /// @}
    [[nodiscard]] unsigned poll_mask() override;
    void released() override;

    /// What IORING_CQE_F_SOCK_NONEMPTY says: more data, or a FIN that the stream holds.
    [[nodiscard]] bool nonempty() const { return !incoming_.empty() || peer_done_; }
    [[nodiscard]] std::uint64_t stream_end() const { return stream_.size(); }
    /// Whether our kernel still needs the bytes up to there, and so a zero-copy buffer.
    [[nodiscard]] bool needs(std::uint64_t end) const { return state_ != closed && acked_ < end; }
    [[nodiscard]] std::string_view stream() const { return stream_; }
    [[nodiscard]] state now() const { return state_; }
    [[nodiscard]] bool resets_when_closed() const { return linger_ && linger_seconds_ == 0; }

    // From the network.
    void acknowledged(std::uint64_t bytes, bool fin, std::uint64_t window_edge);
    void data_arrived(std::string_view data);
    void fin_arrived();
    void reset_arrived();
    void watch_timeout(); ///< When what is outstanding is given up.
    [[nodiscard]] std::size_t receive_room() const;

    sim_truth truth;

private:
    void transmit();
    void segment_came(); ///< The first one completes a handshake.
    void send_reset(const char* cause);
    void end(int error);
    int take_error() {
        truth.reset_told |= error_ && truth.reset_received && !disconnected_;
        return -std::exchange(error_, 0);
    }
    void drop_unread() {
        truth.dropped += incoming_.size();
        incoming_.clear();
    }
    [[nodiscard]] bool outstanding() const;
    void fill_info(void* value, socklen_t& bytes) const;
    void notify();

    world& world_;
    peer_script script_;
    unsigned short peer_port_ = 0;
    state state_ = closed;
    bool listens_ = false;
    std::deque<peer_script> queue_; // of what listens
    bool send_shutdown_ = false;
    bool fin_queued_ = false;
    bool receive_shutdown_ = false;
    bool peer_done_ = false;    // SOCK_DONE: the peer's FIN is in the stream
    bool orphaned_ = false;     // released by the library
    bool disconnected_ = false; // the counters are worthless from then on
    int error_ = 0;             // readable once

    std::string stream_; // everything ever accepted
    std::uint64_t sent_ = 0;
    std::uint64_t acked_ = 0;
    std::uint64_t window_edge_ = 0;
    bool corked_ = false;
    bool no_space_ = false; // somebody was refused and wants to be woken
    std::string incoming_;
    time_point last_ack_, last_data_, progress_;
    bool timeout_armed_ = false;
    bool linger_ = false;
    int linger_seconds_ = 0;
    int user_timeout_ms_ = 0;
    std::map<std::pair<int, int>, int> options_;
    peer peer_;
};

} // namespace sim
} // namespace ringdown
