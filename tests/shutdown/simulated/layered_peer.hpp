#pragma once

#include <cstdint>
#include <string>

#include "support/sim_peer.hpp"

namespace schedules {

/// A peer that speaks the layer of the tests.
struct layered_peer {
    ringdown::peer_script script;
    std::string wire; ///< All that it writes, if it comes so far.
};

/// Makes one of a peer that does not. It may leave its goodbye out, cut a record, or send one that
/// is wrong.
layered_peer speak_layer(const ringdown::peer_script& plain, std::uint64_t seed, bool handshake);

} // namespace schedules
