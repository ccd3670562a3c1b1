#pragma once

#include <cerrno>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "sim_world.hpp"

namespace ringdown {

/// What a simulated peer does, step after step, while it reads as fast as it was told to.
///
/// Each call appends a step; the fields hold for the whole connection.
struct peer_script {
    using duration = sim::duration;
    enum class act {
        pause,
        write,
        upload,
        await_bytes,
        await_written,
        await_fin,
        read,
        finish,
        close,
        reset,
        vanish,
    };
    struct step {
        act what;
        std::uint64_t bytes = 0;
        duration time{};
        std::string payload = {};
    };

    peer_script& pause(duration time) { return add({act::pause, 0, time}); }
    /// Sends so many bytes of `sim_payload`, or these. Does not wait until they have left.
    peer_script& write(std::uint64_t bytes) { return add({act::write, bytes}); }
    peer_script& write(std::string payload) { return add({act::write, 0, {}, std::move(payload)}); }
    peer_script& upload() { return add({act::upload}); } ///< Writes without end, from now on.
    peer_script& await_bytes(std::uint64_t read) { return add({act::await_bytes, read}); }
    peer_script& await_written() { return add({act::await_written}); }
    /// Waits for our FIN, and for the end of stream behind our data if it reads at all.
    peer_script& await_fin() { return add({act::await_fin}); }
    /// Reads so much every so often from now on; 0 bytes: nothing.
    peer_script& read(std::uint64_t bytes, duration every) {
        return add({act::read, bytes, every});
    }
    peer_script& finish() { return add({act::finish}); } ///< FIN behind what it wrote.
    peer_script& close() { return add({act::close}); }   ///< As close(2): RST if data is unread.
    peer_script& reset() { return add({act::reset}); }
    peer_script& vanish() { return add({act::vanish}); } ///< No packet gets through any more.

    /// Some peer, every kind of end among them.
    static peer_script random(std::uint64_t seed);
    [[nodiscard]] std::string describe() const;

    std::vector<step> steps;
    duration latency = std::chrono::microseconds(20);
    duration ack_delay{};
    std::uint64_t read_bytes = 64 * 1024;
    duration read_every = std::chrono::microseconds(5);
    std::uint64_t window = 64 * 1024;           ///< The peer's receive buffer.
    std::uint64_t send_capacity = 64 * 1024;    ///< Of our socket.
    std::uint64_t receive_capacity = 64 * 1024; ///< Of our socket.
    int loss_errno = ETIMEDOUT; ///< What our kernel says where it gives the peer up.
    bool we_connected = false;  ///< Then our SYN counts in tcpi_bytes_acked.
    /// Accepted by TCP_FASTOPEN: the handshake is done when the peer's first segment comes.
    bool fast_open = false;

private:
    peer_script& add(step what) { return steps.push_back(std::move(what)), *this; }
};

/// The byte at a place of the endless text that peers write.
constexpr char sim_payload(std::uint64_t at) noexcept {
    return static_cast<char>('!' + (at * 7 + at / 89) % 90);
}

namespace sim {

class tcp_socket;

inline constexpr std::size_t segment_bytes = 16 * 1024;

/// The other end: the peer's kernel and its application.
class peer {
public:
    peer(world& in, tcp_socket& to, peer_script script);

    void complete_handshake() { acknowledge(script_.ack_delay); } ///< Unless it vanishes before.
    void run(); ///< Goes on with the script as far as it can.
    void segment_arrived(std::string_view data, bool fin);
    void reset_arrived();
    void window_opened(); ///< Our socket has room again.
    [[nodiscard]] bool answers() const { return life_ != life::gone; }

    wire outward; ///< To the peer.
    wire inward;  ///< From the peer.

private:
    enum class life { open, closed, gone };

    bool perform(const peer_script::step& next);
    void write(std::string_view bytes);
    void write_payload(std::uint64_t bytes);
    void refill();
    void pump();
    void read_on();
    void acknowledge(duration wait);
    void close();
    void reset();

    world& world_;
    tcp_socket& socket_;
    peer_script script_;
    std::size_t step_ = 0;
    bool pausing_ = false;
    bool reading_ = false;
    life life_ = life::open;
    bool fin_arrived_ = false;
    std::uint64_t arrived_ = 0;
    std::uint64_t read_ = 0;
    std::uint64_t window_edge_; // as last told
    std::deque<std::string> unsent_;
    std::uint64_t written_ = 0;
    std::size_t on_the_wire_ = 0;
    bool endless_ = false;
    bool refilling_ = false;
    bool finishing_ = false;
    bool fin_sent_ = false;
};

} // namespace sim
} // namespace ringdown
