#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <ringdown/shutdown/server/server.hpp>

namespace examples {

/// How one server stands, or the sum of several.
struct standing {
    ringdown::teardown_counters counters;
    std::uint64_t accepts = 0;
    std::size_t open = 0; ///< Accepted and not yet reported.
    std::array<std::size_t, ringdown::connection_activities> by_activity{};
    /// The least that any has reached.
    ringdown::server_phase phase = ringdown::server_phase::drained;
    std::string notice; ///< What was to be told on standard error, and is shown instead.

    void add(const standing& other) noexcept;
    [[nodiscard]] bool draining() const noexcept {
        return phase != ringdown::server_phase::serving;
    }
};

/// A loop and its server. Belongs to the thread that runs it.
class worker {
public:
    /// For a live view notices are kept, which are printed otherwise.
    worker(std::shared_ptr<ringdown::listening_socket> listener,
           const ringdown::server::handler& serve, ringdown::server_options options, bool live);

    [[nodiscard]] standing stand();

    ringdown::loop loop;
    bool accepting_failed = false; ///< For good, and its server has ended because of it.

private:
    ringdown::server_options with_notices(ringdown::server_options options);
    void tell(std::string text);

    bool live_;
    std::string notice_;

public:
    ringdown::server serving;
};

} // namespace examples
