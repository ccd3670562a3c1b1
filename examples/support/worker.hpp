#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <ringdown/runtime/internal/intrusive_list.hpp>
#include <ringdown/shutdown/server/server.hpp>

namespace examples {

/// How far a connection that has not been reported is on its way to its end.
enum class connection_stage : std::uint8_t { open, flushing, fin_sent, fin_acknowledged, closing };

std::string_view name(connection_stage stage) noexcept;

/// How one server stands, or the sum of several.
struct standing {
    ringdown::teardown_counters counters;
    std::uint64_t accepts = 0;
    std::size_t open = 0; ///< Accepted and not yet reported.
    std::array<std::size_t, 5> by_stage{};
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
    /// For a live view connections are listed, so that `stand` can count them by stage, and
    /// notices are kept for it.
    worker(std::shared_ptr<ringdown::listening_socket> from, const ringdown::server::handler& serve,
           ringdown::server_options options, bool live);
    ~worker();

    [[nodiscard]] standing stand();

    ringdown::loop on;
    bool accepting_failed = false; ///< For good, and its server has ended because of it.

private:
    class present;

    ringdown::task<void> attend(ringdown::stream peer);
    ringdown::server_options with_notices(ringdown::server_options options);
    void tell(std::string text);

    bool live_;
    std::string notice_;
    ringdown::server::handler serve_;
    ringdown::intrusive_list<present, present> present_;

public:
    ringdown::server serving;
};

} // namespace examples
