#pragma once

#include <ringdown/shutdown/ending/internal/acknowledgement.hpp>

#include "part_rig.hpp"

namespace ringdown::testing {

/// As a unix socket: no poll tells, and nobody counts what was acknowledged.
inline constexpr transport_traits unix_like{
    .has_peer = true, .drops_uncopied = true, .has_names = true};

/// A kernel without the ring command, on which each question is one ioctl(2).
inline sim_options countable() {
    sim_options options = part_rig::calm;
    options.missing.add(capability::socket_queue_commands);
    return options;
}

inline peer_script acknowledges_after(sim::duration delay) {
    peer_script peer;
    peer.ack_delay = delay;
    return peer;
}

/// The part that learns whether FIN has arrived, alone.
class acknowledgement_rig : public part_rig {
public:
    explicit acknowledgement_rig(const peer_script& peer, transport_traits traits = transports::tcp,
                                 const sim_options& options = countable())
        : part_rig(peer, traits, options), part(make<acknowledgement>()) {}

    /// Steps now, and at every change, as an ending does.
    void keep_stepping(bool receive_tells = false) {
        at_changes([this, receive_tells] { part.step(receive_tells); });
        part.step(receive_tells);
    }
    void say_fin() {
        connection.request_fin();
        part.note_change();
    }
    [[nodiscard]] std::uint64_t asked() const { return count("ioctl"); }

    acknowledgement& part;
};

} // namespace ringdown::testing
