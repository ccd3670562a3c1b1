#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace rpc {

/// What came of many calls. Each of them is answered, has failed, or was cancelled.
struct tally {
    std::uint32_t calls = 0;
    std::uint32_t answered = 0; ///< By a result.
    std::uint32_t failed = 0;   ///< Answered by an error.
    std::vector<std::uint32_t> latencies_us;
    std::string canceled_because; ///< Why those were that had no answer.

    [[nodiscard]] std::uint32_t canceled() const noexcept { return calls - answered - failed; }
    void note_latency(std::chrono::nanoseconds time);
    [[nodiscard]] nlohmann::ordered_json summary();
};

} // namespace rpc
