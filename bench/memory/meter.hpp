#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ringdown/runtime/internal/frame_pool.hpp>

namespace bench {

/// Blocks of the pool that are out, by what they take from the heap.
class pool_blocks {
public:
    /// What is out now.
    static pool_blocks now();

    /// Those that came since `earlier`.
    [[nodiscard]] pool_blocks since(const pool_blocks& earlier) const;
    [[nodiscard]] std::int64_t of(std::size_t footprint) const {
        return counts_[footprint / ringdown::frame_pool::footprint_step];
    }
    [[nodiscard]] std::int64_t bytes() const;
    /// The footprint of the only block; 0 if there is not one.
    [[nodiscard]] std::size_t only() const;

private:
    std::vector<std::int64_t> counts_;
};

/// This process's memory, told by the pool, the heap and the kernel.
struct memory_use {
    pool_blocks pool;
    std::int64_t heap_bytes;     ///< Handed out by the C library, with its own headers.
    std::int64_t resident_bytes; ///< Pages that are there.

    static memory_use now();
};

} // namespace bench
