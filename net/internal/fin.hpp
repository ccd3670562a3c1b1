#pragma once

#include <cerrno>

#include <ringdown/net/internal/send_queue.hpp>
#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

namespace ringdown {

/// FIN, as the last member of a connection's send queue.
///
/// How it leaves is the loop's decision (`fin_method`): shutdown(2) at the point where the
/// operation would be submitted, or IORING_OP_SHUTDOWN, which known kernels hand to a worker.
/// Source: shutdown(2), RFC 9293 section 3.6, IORING_OP_SHUTDOWN (Linux 5.11).
class fin_operation final : public pooled, public queued_operation {
public:
    explicit fin_operation(connection& connection) noexcept;

    /// Set when FIN was handed to the kernel, or never will be; `result` tells which.
    [[nodiscard]] event& settled_event() noexcept { return settled_; }
    /// 0, or a negated errno.
    [[nodiscard]] int result() const noexcept { return result_; }

private:
    void start() noexcept override;
    void refuse() noexcept override;
    void layer_sent() noexcept override { start(); }
    void layer_failed(std::error_code) noexcept override { conclude(-ECANCELED); }
    void settled(completion what) noexcept override;
    void conclude(int result) noexcept;

    event settled_;
    int result_ = 0;
};

} // namespace ringdown
