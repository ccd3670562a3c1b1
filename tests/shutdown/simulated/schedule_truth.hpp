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

    std::size_t connection = 0;    ///< Which one it is of the kernel's.
    std::uint64_t number = 0;      ///< Of the library's; 0 if it was never adopted.
    std::uint64_t sent_before = 0; ///< By the application itself, before it was adopted.
    bool reset_refused = false;    ///< Only a close resets.
    std::list<handed> handed_over; // in order; references stay valid
    std::uint64_t received_bytes = 0;
    ringdown::byte_counts counted;
    bool layered = false; ///< Above a layer, and this is all that the peer's says.
    std::string peer_wire;
    bool fin_asked = false;                  ///< By the application itself.
    std::optional<ringdown::sim_truth> left; ///< When the descriptor was handed out, if it was.
    std::error_code refused;                 ///< Why the connection was not adopted, if it was not.
    std::vector<std::string> complaints;

private:
    std::uint64_t next_ = 0;
};

/// Holds the reports of a schedule, one for each of its connections, against what really happened.
void compare(outcome& result, const std::vector<traffic>& seen, const ringdown::sim_kernel& kernel);

} // namespace schedules
