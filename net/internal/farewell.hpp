#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include <ringdown/runtime/internal/frame_pool.hpp>
#include <ringdown/runtime/task.hpp>

namespace ringdown {

/// What the protocol of a connection says last, before FIN: these bytes, and then what the task
/// sends.
struct farewell : pooled {
    std::vector<std::byte> bytes;
    std::optional<task<void>> say;
};

} // namespace ringdown
