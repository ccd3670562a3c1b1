#pragma once

#include <ringdown/shutdown/ending/internal/closing.hpp>

#include "part_rig.hpp"

namespace ringdown::testing {

/// The part that closes, alone.
class closing_rig : public part_rig {
public:
    explicit closing_rig(const peer_script& peer = {}, const sim_options& options = calm)
        : part_rig(peer, transports::tcp, options), part(make<closing>()) {}

    void end() { connection.enter(life_phase::ending); }

    closing& part;
};

/// connect(2) is refused, and so the reset is left to the close.
inline sim_options no_reset_at_once() {
    sim_options options = part_rig::calm;
    options.connect_error = EPERM;
    return options;
}

inline sim_options no_reset_at_all() {
    sim_options options = no_reset_at_once();
    options.setsockopt_error = EACCES;
    return options;
}

} // namespace ringdown::testing
