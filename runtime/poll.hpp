#pragma once

#include <ringdown/runtime/operation.hpp>

namespace ringdown {

namespace operations {

struct poll {
    static constexpr const char* name = "poll";

    int fd;
    unsigned events;

    void prepare(io_uring_sqe& sqe) const noexcept { io_uring_prep_poll_add(&sqe, fd, events); }
    result<unsigned> decode(completion what) const noexcept {
        if (what.result < 0) return std::unexpected(system_error(what.result));
        return static_cast<unsigned>(what.result);
    }
};

} // namespace operations

/// Waits until one of `events` (POLLIN, POLLOUT, …) holds for the descriptor; answers which.
///
/// Lifetime: the descriptor stays open until the operation has ended.
/// Errors: `bad_file_descriptor`, `operation_canceled`. Cancellation: safe.
/// Source: poll(2), IORING_OP_POLL_ADD (Linux 5.1).
inline operation<operations::poll> poll(int fd, unsigned events) noexcept {
    return operation<operations::poll>({fd, events});
}

} // namespace ringdown
