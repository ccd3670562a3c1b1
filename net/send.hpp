#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include <sys/uio.h>

#include <ringdown/net/connection.hpp>
#include <ringdown/net/send_queue.hpp>
#include <ringdown/runtime/waiting.hpp>

namespace ringdown {

/// How much of a send the kernel accepted, and why not all of it.
struct [[nodiscard]] sent {
    std::size_t bytes = 0;
    std::error_code error; ///< Empty when everything was accepted.

    explicit operator bool() const noexcept { return !error; }
};

/// A send on its way, or waiting for those before it. Made by the verbs of `stream`
/// and `packet_stream`.
class [[nodiscard]] send_operation final : public queued_operation, public waiting {
public:
    enum class form : std::uint8_t {
        plain,     ///< IORING_OP_SEND
        last,      ///< IORING_OP_SEND, with FIN on its last segment.
        zero_copy, ///< IORING_OP_SEND_ZC
        packet,    ///< IORING_OP_SEND of one message, which may be empty.
    };

    send_operation(connection& on, std::span<const std::byte> data, form how) noexcept;
    send_operation(connection& on, std::span<const iovec> parts) noexcept;

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
        if (!suspend(task, task.promise().governing())) {
            outcome_.error = canceled();
            return false;
        }
        return hand_over();
    }
    sent await_resume() const noexcept { return outcome_; }

    [[nodiscard]] bool ends_with_reset() const noexcept override { return true; }
    [[nodiscard]] bool pins_buffer() const noexcept override { return form_ == form::zero_copy; }

private:
    bool hand_over();
    void prepare(io_uring_sqe& sqe) noexcept;
    void launch_rest();
    void accept(std::size_t bytes) noexcept;
    void advance(int result) noexcept;
    void go_on() noexcept;
    void conclude(std::error_code error) noexcept;
    void note_failure() noexcept;

    void start() noexcept override { launch_rest(); }
    void refuse() noexcept override;
    void settled(completion what) noexcept override;
    void cancel(cancel_reason reason) noexcept override;

    [[nodiscard]] std::span<const std::byte> rest() const noexcept;

    // One piece, or several; `message_` is what of them goes out at a time.
    std::span<const std::byte> data_;
    std::span<const iovec> parts_;
    msghdr message_{};
    std::size_t part_bytes_ = 0; // of the first of `parts_`, accepted
    std::size_t total_;
    std::uint64_t continues_ = 0; // bytes of a send that was cut short before
    form form_;
    bool concluded_ = false;
    bool canceled_ = false;
    bool resume_after_notification_ = false;
    sent outcome_;
};

} // namespace ringdown
