#pragma once

#include <limits>

#include <ringdown/net/internal/discard.hpp>

#include "part_rig.hpp"

namespace ringdown::testing {

inline constexpr auto no_limit = std::numeric_limits<std::uint64_t>::max();

/// What drops bytes, driven by the test.
class discarder_rig : public part_rig {
    struct nothing { // the connection has it already
        explicit nothing(ringdown::connection&) {}
    };

public:
    explicit discarder_rig(const peer_script& peer, const sim_options& options = calm)
        : part_rig(peer, transports::tcp, options), part(connection.make_discarder()) {
        make<nothing>();
    }

    /// Drops from now on, step after step, as an ending does.
    void drop(std::uint64_t limit) {
        connection.enter(receiving_phase::discarding);
        part.set_limit(limit);
        keep_stepping();
    }
    void keep_stepping() {
        at_changes([this] { step(); });
        step();
    }
    [[nodiscard]] std::uint64_t discarded() const { return connection.bytes().discarded; }

    discarder& part;

private:
    void step() {
        if (!part.over_limit() && !part.error()) part.step();
    }
};

} // namespace ringdown::testing
