#pragma once

#include <list>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <ringdown/net/internal/connection.hpp>

#include "schedule.hpp"
#include "support/sim_kernel.hpp"

namespace schedules {

/// What the application of a schedule handed over and received.
struct traffic {
    struct handed {
        explicit handed(std::span<const std::byte> bytes) : data(bytes) {}
        std::span<const std::byte> data;
        std::size_t accepted = 0;
    };

    std::span<const std::byte> next_to_send(std::size_t size);
    void received(std::span<const std::byte> bytes);

    std::list<handed> handed_over; // in order; references stay valid
    std::uint64_t received_bytes = 0;
    ringdown::byte_counts counted;
    bool fin_asked = false;                  ///< By the application itself.
    std::optional<ringdown::sim_truth> left; ///< When the descriptor was handed out, if it was.
    std::error_code refused;                 ///< Why the connection was not adopted, if it was not.
    std::vector<std::string> complaints;

private:
    std::uint64_t next_ = 0;
};

/// Holds the report of a schedule against what really happened.
void compare(outcome& result, const traffic& seen, const ringdown::sim_kernel& kernel);

} // namespace schedules
