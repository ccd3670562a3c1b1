#pragma once

#include <ringdown/runtime/operation.hpp>

namespace ringdown {

namespace operations {

struct noop {
    static constexpr const char* name = "noop";

    void prepare(io_uring_sqe& sqe) const noexcept { io_uring_prep_nop(&sqe); }
    result<void> decode(completion what) const noexcept {
        if (what.result < 0) return std::unexpected(system_error(what.result));
        return {};
    }
};

} // namespace operations

/// Goes through the kernel and back: one turn of the loop.
///
/// Source: IORING_OP_NOP (Linux 5.1).
inline operation<operations::noop> noop() noexcept { return operation<operations::noop>({}); }

} // namespace ringdown
