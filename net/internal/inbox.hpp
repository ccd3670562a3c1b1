#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <ringdown/net/internal/connection_operation.hpp>
#include <ringdown/net/internal/packed_error.hpp>
#include <ringdown/net/internal/receive.hpp>
#include <ringdown/runtime/buffers.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

namespace ringdown {

class layered;

/// What a connection has received into the loop's buffers and the application has not taken.
///
/// One receive stays armed and completes many times. A reader that lags behind stops it after a
/// few buffers, or after one where the loop is short of them; what the kernel brings before it
/// sees that comes on top. When the connection ends, the receive stays armed and what it brings is
/// dropped.
class inbox final : public pooled, public connection_operation {
public:
    explicit inbox(connection& connection);
    ~inbox();

    [[nodiscard]] bool ends_with_reset() const noexcept override { return true; }
    [[nodiscard]] at_ending when_ending() const noexcept override { return at_ending::keep; }

    /// False when bytes can be taken, or the end be told, at once; else the reader waits. One
    /// reader at a time.
    bool wait(inbox_reader& reader);
    /// The waiting reader was cancelled; what arrives later is kept for the next one.
    void forget(inbox_reader& reader) noexcept;

    /// For a reader that need not wait, or was told of an arrival.
    /// @{
    [[nodiscard]] bool has_bytes() const noexcept { return queued_ > 0; }
    lease take() noexcept;
    std::size_t copy_out(std::span<std::byte> into) noexcept;
    /// Of one without bytes that has ended.
    std::error_code tell_end() noexcept;
    /// @}

    /// True when something has arrived that the application has not taken.
    [[nodiscard]] bool holds_data() const noexcept;
    /// How many arrivals wait to be taken.
    [[nodiscard]] std::uint32_t queued() const noexcept { return queued_; }
    /// True while the application waits for bytes.
    [[nodiscard]] bool has_reader() const noexcept { return reader_ != nullptr; }

    /// From now on all that comes goes through the connection's layer, and is received as it comes:
    /// a layer has things to say to itself.
    void begin_layer();
    /// The layer may take in more than before.
    void layer_hears() noexcept;
    /// The layer cannot go on, by something that it was not given from here.
    void layer_failed() noexcept;

    /// Nobody receives any more: tells the reader, and drops everything from now on.
    void seal() noexcept;

private:
    void arm();
    void prepare(io_uring_sqe& sqe) noexcept;
    void settled(completion what) noexcept override;
    void peek() noexcept;
    void peeked(completion what) noexcept;
    void end(completion what) noexcept;
    void buffer_returned() noexcept;
    void received(std::uint16_t buffer, completion what) noexcept;
    void decode(layered& beneath, std::uint32_t buffer, std::size_t begin,
                std::size_t end) noexcept;
    void note_layer_end() noexcept;
    void keep_plain(std::span<const std::byte> plain) noexcept;
    /// Somebody waits for what comes: the application, or a layer.
    [[nodiscard]] bool wants_more() const noexcept;
    void put(std::uint32_t buffer, std::size_t bytes) noexcept;
    std::uint32_t pop() noexcept;
    void tell_reader() noexcept;
    [[nodiscard]] bool sealed() const noexcept;

    // Without a buffer the kernel sees neither data nor the end, so a byte is looked at instead.
    struct shortage;
    shortage& have_shortage();

    buffer_pool& pool_;
    inbox_reader* reader_ = nullptr;
    shortage* shortage_ = nullptr; // from the first one on
    packed_error end_;             // set once the stream has ended
    std::uint32_t offset_ = 0;     // bytes of the first buffer that were copied out already
    std::uint32_t queued_ = 0;     // buffers, and copies of what was in some
    std::uint32_t first_ = 0;
    std::uint32_t last_ = 0;
    std::uint16_t picked_ = 0; // the buffer in flight, where the kernel does not select
    bool data_waits_ = false;  // in the kernel, as the last look has shown
    bool picked_in_flight_ = false;
    std::uint8_t small_in_a_row_ = 0;
};

} // namespace ringdown
