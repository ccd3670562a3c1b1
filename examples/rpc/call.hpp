#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <ringdown/net/address.hpp>

namespace rpc {

struct call_options {
    ringdown::address server;
    std::string method;
    std::vector<std::string> params; ///< Each a JSON value.
    std::uint32_t count = 1;
    std::uint32_t in_flight = 64;
    std::chrono::nanoseconds within{std::chrono::seconds(5)}; ///< All of it, the ending included.
    std::uint64_t frame_max = 1 << 20;
    std::string reports;
};

/// Calls a method `count` times and prints what came of it: the result of a single call, a summary
/// of many. 0 when every call was answered by a result, 1 otherwise.
///
/// A signal ends the calling: no call is begun any more, answers still due are awaited; a second
/// signal gives them up. Throws `std::invalid_argument` for params that are no JSON.
int call(const call_options& options);

} // namespace rpc
