#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/connection_operation.hpp>
#include <ringdown/runtime/buffers.hpp>
#include <ringdown/runtime/error.hpp>
#include <ringdown/runtime/internal/awaitable_operation.hpp>
#include <ringdown/runtime/internal/waiting.hpp>

namespace ringdown {

/// Who takes what an `inbox` received.
class inbox_reader : public waiting {
public:
    /// The inbox has bytes to take.
    virtual void arrived() noexcept = 0;
    /// Nothing will come: the stream has ended, or was cancelled.
    virtual void fail(std::error_code why) noexcept = 0;

protected:
    inbox_reader() noexcept = default;
    inbox_reader(inbox_reader&&) noexcept = default;
    ~inbox_reader() = default;
};

/// Receives into the caller's buffer. Made by `stream::recv`.
class [[nodiscard]] recv_operation final : public connection_operation,
                                           public inbox_reader,
                                           public awaitable_operation<recv_operation> {
public:
    recv_operation(connection& connection, std::span<std::byte> into) noexcept;

    result<std::size_t> await_resume() const noexcept { return answer_; }

    [[nodiscard]] bool ends_with_reset() const noexcept override { return true; }

private:
    friend awaitable_operation<recv_operation>;

    bool begin();
    void answer_canceled() noexcept { answer_ = std::unexpected(canceled()); }
    void arrived() noexcept override;
    void fail(std::error_code why) noexcept override;
    void settled(completion what) noexcept override;
    void cancel(cancel_reason reason) noexcept override;

    std::span<std::byte> into_;
    result<std::size_t> answer_{0};
};

/// Receives into a buffer of the loop. Made by `stream::recv_lease`.
class [[nodiscard]] lease_operation final : public inbox_reader,
                                            public awaitable_operation<lease_operation> {
public:
    explicit lease_operation(connection& connection) noexcept : from_(connection) {}

    result<lease> await_resume() noexcept { return std::move(answer_); }

private:
    friend awaitable_operation<lease_operation>;

    bool begin();
    void answer_canceled() noexcept { answer_ = std::unexpected(canceled()); }
    void arrived() noexcept override;
    void fail(std::error_code why) noexcept override;
    void cancel(cancel_reason reason) noexcept override;

    connection& from_;
    result<lease> answer_;
};

} // namespace ringdown
