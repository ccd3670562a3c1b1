#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include <sys/uio.h>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/packed_error.hpp>
#include <ringdown/net/internal/send_queue.hpp>
#include <ringdown/runtime/internal/awaitable_operation.hpp>
#include <ringdown/runtime/internal/waiting.hpp>

namespace ringdown {

class layered;

/// How much of a send the kernel accepted, and why not all of it. Above a layer: the layer, which
/// sends what it has taken.
struct [[nodiscard]] sent {
    std::size_t bytes = 0;
    std::error_code error; ///< Empty when everything was accepted.

    explicit operator bool() const noexcept { return !error; }
};

/// A send on its way, or waiting for those before it. Made by the verbs of `stream`
/// and `packet_stream`.
class [[nodiscard]] send_operation : public queued_operation,
                                     public waiting,
                                     public awaitable_operation<send_operation> {
public:
    enum class form : std::uint8_t {
        plain,     ///< IORING_OP_SEND
        last,      ///< IORING_OP_SEND, with FIN on its last segment.
        zero_copy, ///< IORING_OP_SEND_ZC
        packet,    ///< IORING_OP_SEND of one message, which may be empty.
    };

    send_operation(connection& connection, std::span<const std::byte> data, form how) noexcept;

    sent await_resume() const noexcept { return {bytes_, error_}; }

    [[nodiscard]] bool ends_with_reset() const noexcept override { return true; }
    [[nodiscard]] bool pins_buffer() const noexcept override { return form_ == form::zero_copy; }
    [[nodiscard]] bool only_pins() const noexcept override { return awaits_notification_; }

protected:
    send_operation(connection& connection, const char* name, std::size_t bytes) noexcept
        : queued_operation(connection, name), data_(static_cast<const std::byte*>(nullptr), bytes),
          form_(form::plain) {}

    /// Hands it over without asking whether that is permitted.
    void enqueue();
    /// It has ended, and not with all of it.
    [[nodiscard]] bool failed() const noexcept { return static_cast<bool>(error_); }
    /// Prepares the send of what is left.
    virtual void prepare(io_uring_sqe& sqe) noexcept;
    /// The kernel has accepted some of it, or a layer that will send it.
    virtual void accepted(std::size_t bytes) noexcept { bytes_ += bytes; }
    /// What is left, or the first part of that.
    [[nodiscard]] virtual std::span<const std::byte> rest() const noexcept {
        return data_.subspan(bytes_);
    }
    void prepare_piece(io_uring_sqe& sqe, std::span<const std::byte> piece) noexcept;

private:
    friend awaitable_operation<send_operation>;

    bool begin();
    bool sent_at_once() noexcept;
    void answer_canceled() noexcept { error_ = canceled(); }
    void launch_rest();
    void advance(int result) noexcept;
    void go_on_when_released() noexcept;
    void go_on() noexcept;
    void conclude(std::error_code error) noexcept;
    void note_failure() noexcept;
    void tell() noexcept;

    void start() noexcept override;
    void refuse() noexcept override;
    void layer_sent() noexcept override;
    void layer_failed(std::error_code why) noexcept override;
    void give(layered& beneath) noexcept;
    void settled(completion what) noexcept override;
    void cancel(cancel_reason reason) noexcept override;

    std::span<const std::byte> data_;          // of several parts, their size
    std::size_t bytes_ = 0;                    // accepted
    [[no_unique_address]] packed_error error_; // the bytes below fill it up
    form form_;
    bool continues_ : 1 = false; // a send that was cut short before
    bool concluded_ : 1 = false;
    bool canceled_ : 1 = false;
    bool resume_after_notification_ : 1 = false;
    bool copies_ : 1 = false; // from now on, since the kernel has no memory to pin the buffer with
    bool awaits_notification_ : 1 = false;
};

/// Whether a refusal to send tells of a shutdown(2) that the application made by itself, on a
/// connection that is still there.
[[nodiscard]] bool refused_by_us(connection& connection, int result) noexcept;

/// A send of several parts. Made by `stream::send_vectored`.
class [[nodiscard]] send_vectored_operation final : public send_operation {
public:
    send_vectored_operation(connection& connection, std::span<const iovec> parts) noexcept;

private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    void accepted(std::size_t bytes) noexcept override;
    [[nodiscard]] std::span<const std::byte> rest() const noexcept override;

    std::span<const iovec> parts_; // not accepted, or not whole
    std::size_t part_bytes_ = 0;   // of the first of them, accepted
    msghdr message_{};             // what of them goes out at a time
};

} // namespace ringdown
