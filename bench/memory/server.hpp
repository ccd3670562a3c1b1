#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "meter.hpp"

namespace bench {

struct measured {
    std::uint32_t connections = 0; ///< That came between the two looks.
    memory_use before, after;
    std::size_t handler_bytes = 0; ///< What a handler's frame takes from the heap.
};

/// Serves `connections`, and looks when an eighth of them is idle and when all of them are: what is
/// set up for the first ones is not the price of each.
measured serve_and_look(std::uint32_t connections, std::chrono::nanoseconds idle);

} // namespace bench
