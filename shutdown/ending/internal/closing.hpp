#pragma once

#include <cstdint>
#include <system_error>

#include <ringdown/net/internal/connection.hpp>
#include <ringdown/net/internal/step_operation.hpp>
#include <ringdown/net/unique_descriptor.hpp>

namespace ringdown {

/// How the descriptor goes: closed, reset, or handed out.
class closing {
public:
    explicit closing(connection& connection) noexcept;

    /// Resets the connection: at once, or, where the kernel refuses that while the socket is open,
    /// by the close. Answers whether it was at once.
    bool reset() noexcept;
    /// The connection turned out to be over before its close could reset it.
    void forget_reset() noexcept { resets_ = false; }
    /// The close is yet to reset.
    [[nodiscard]] bool resets() const noexcept { return resets_; }
    /// The close cannot reset either.
    [[nodiscard]] bool reset_refused() const noexcept { return refused_ != 0; }

    /// Whether nothing in flight forbids the close. One that resets does not wait for buffers that
    /// only the reset frees.
    [[nodiscard]] bool may_begin() const noexcept;

    /// Takes a linger time of the application's back, with which the close could reset, or wait.
    void forget_linger() noexcept;
    /// Closes on the ring, or only joins what is in flight. From then on the connection is joined.
    /// @{
    void close();
    void leave_open();
    /// @}
    /// Closes now. What came since it was last looked makes the close reset, so both happen in one
    /// breath.
    void close_in_place() noexcept;

    /// Counts the bytes that are unread, and lost with the close.
    void count_unread() noexcept;
    /// A close has met bytes that nobody had received, and reset because of it.
    [[nodiscard]] bool reset_by_unread() const noexcept { return reset_by_unread_; }

    /// Hands the open descriptor to `take_descriptor`, or closes it with this.
    void hand_out() noexcept;
    [[nodiscard]] unique_descriptor take_descriptor() noexcept { return std::move(left_); }

    [[nodiscard]] std::error_code error() const noexcept;

private:
    void closed(completion what) noexcept;

    connection& connection_;
    step_operation<closing> close_;
    int refused_ = 0; // the errno with which a reset by the close was refused
    std::error_code error_;
    unique_descriptor left_;
    bool resets_ = false;
    bool reset_by_unread_ = false;
};

/// The bytes that the kernel holds for this connection and nobody has received.
[[nodiscard]] std::uint64_t unread_bytes(connection& connection) noexcept;

} // namespace ringdown
