#pragma once

#include "kinds.hpp"
#include "record.hpp"
#include "sockets.hpp"

#include <cstdint>
#include <string>

namespace ringdown_demo {

/// What the load has to do with a peer after one of its steps.
enum class next_step {
    wait,      ///< for its socket, or its `wake_at`
    run_again, ///< it has more to do now
    seal,      ///< its arrivals are stopped: give it to the sealer, then `on_sealed`
    vanished,  ///< it does nothing any more, but its socket stays until the server is gone
    over,      ///< its record is complete
};

/// One scripted peer: a socket and what it does on it. Writes down only what it sees itself.
class peer {
public:
    /// Lifetime: `seen` outlives the peer.
    peer(const script& role, record& seen);

    /// Connects; false if this host has no socket for it (errno says why).
    [[nodiscard]] bool open(const sockaddr_in& source, const sockaddr_in& server);
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] bool connecting() const { return stage_ == stage::connecting; }
    [[nodiscard]] clock::time_point wake_at() const;

    [[nodiscard]] next_step on_event(std::uint32_t events);
    [[nodiscard]] next_step on_timer();
    [[nodiscard]] next_step on_sealed();
    /// Completes the record of a peer that is still open when the server is gone.
    void cut_short();

private:
    enum class stage { connecting, talking, sealing, vanished, over };

    next_step on_connected();
    next_step advance();
    void write_some();
    [[nodiscard]] bool read_some();
    [[nodiscard]] bool read_once(std::size_t bytes_max);
    void read_what_is_left();
    void finish_if_due();
    [[nodiscard]] bool upload_if_due();
    void watch_own_finish();
    void note_error(int error);
    [[nodiscard]] bool everything_written() const { return seen_.written == to_write_; }
    [[nodiscard]] bool leaving_is_due();
    next_step leave();
    next_step reset();
    next_step end();
    void measure();

    script role_;
    const peer_kind& kind_;
    record& seen_;
    descriptor fd_;
    stage stage_ = stage::connecting;
    std::string line_;            ///< the request line
    std::uint64_t salt_ = 0;      ///< of what is read
    std::uint64_t to_write_ = 0;  ///< bytes in all, the line included
    std::uint64_t may_write_ = 0; ///< of these, bytes that may be written by now
    bool hung_up_ = false;        ///< the kernel says that no more will come

    // `max()`: nothing is waited for.
    clock::time_point next_read_ = clock::time_point::max();
    clock::time_point next_write_ = clock::time_point::max();
    clock::time_point next_look_ = clock::time_point::max();
    clock::time_point leave_at_ = clock::time_point::max();
};

} // namespace ringdown_demo
