#include <ringdown/runtime/internal/ring_operation.hpp>

#include <cstdio>

#include <ringdown/runtime/internal/assert.hpp>
#include <ringdown/runtime/loop.hpp>

namespace ringdown {

void ring_operation::misuse_in_flight() const noexcept {
    char what[160];
    std::snprintf(what, sizeof what,
                  "operation '%s' was destroyed while in flight; await it, or cancel its scope and "
                  "join it",
                  name_);
    misuse(what);
}

void ring_operation::request_cancel(loop& loop) {
    if (!in_flight_ || cancel_requested_) return;
    cancel_requested_ = true;
    loop.submit_unawaited([this](io_uring_sqe& sqe) {
        io_uring_prep_cancel64(&sqe, reinterpret_cast<std::uintptr_t>(this), 0);
    });
}

} // namespace ringdown
