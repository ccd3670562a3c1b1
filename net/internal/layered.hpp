#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <system_error>

#include <ringdown/net/internal/connection_operation.hpp>
#include <ringdown/net/internal/packed_error.hpp>
#include <ringdown/net/internal/record_map.hpp>
#include <ringdown/net/layer.hpp>
#include <ringdown/runtime/internal/frame_pool.hpp>

namespace ringdown {

class queued_operation;

/// A connection's layer, and what it has to say.
///
/// What a layer has encoded goes out, whatever becomes of the send that it came from: a record of
/// which a part is missing would be a hole. So this sends, one piece after the other; a send or FIN
/// whose turn has come gives it bytes, and is told when they are out.
class layered final : public pooled, public connection_operation {
public:
    layered(connection& connection, std::unique_ptr<layer> beneath);

    /// Says what the layer says first.
    void begin();

    /// What a send gives at a time; 0 while the layer is not ready.
    [[nodiscard]] std::size_t takes_at_once() const noexcept;
    /// Encodes bytes of the send whose turn it is. False after an error of the layer.
    [[nodiscard]] bool encode(std::span<const std::byte> plain) noexcept;
    /// Goes on sending. `turn` is told when all is out that it gave, and the layer takes more, by
    /// `layer_sent`; or that it never will be, by `layer_failed`; at once if need be.
    void send_for(queued_operation& turn) noexcept;
    /// The send was cancelled. What it gave goes out all the same.
    void forget(const queued_operation& turn) noexcept;
    /// Says the goodbye, once. True when FIN may follow at once; else `fin` is told, like a send.
    [[nodiscard]] bool goes_before(queued_operation& fin) noexcept;
    /// Nothing more is to go out, or will come from the peer: who waits for that waits no longer.
    void wake_turn() noexcept { tell_turn(); }
    /// True when the kernel has taken all that the layer has said.
    [[nodiscard]] bool all_sent() const noexcept { return out_at_ == out_.size() && next_.empty(); }

    /// Decodes what has come over the wire, and appends the application's part to `plain`. The
    /// error, if there is one, is remembered.
    void decode(std::span<const std::byte> wire, layer::buffer& plain) noexcept;
    /// Empty, or why the layer cannot go on, in either direction.
    [[nodiscard]] std::error_code error() const noexcept { return error_; }
    [[nodiscard]] bool peer_said_goodbye() const noexcept { return beneath_->peer_said_goodbye(); }
    /// Nothing that comes now is for the application.
    [[nodiscard]] bool over() const noexcept { return error() || peer_said_goodbye(); }
    [[nodiscard]] bool inside_record() const noexcept {
        return !over() && beneath_->inside_record();
    }
    /// False while it has too much to say to take in what the peer sends.
    [[nodiscard]] bool hears() const noexcept;
    /// Where to receive what is dropped: its records are read for the goodbye.
    [[nodiscard]] std::span<std::byte> discard_buffer();
    /// Decodes bytes that were received there; answers how many were the application's.
    std::uint64_t discard(std::size_t bytes) noexcept;

    [[nodiscard]] std::uint64_t wire_received() const noexcept { return wire_received_; }
    [[nodiscard]] std::uint64_t wire_sent() const noexcept { return wire_sent_; }
    /// How many of the application's bytes have arrived with so many of the wire; one more for FIN.
    [[nodiscard]] std::uint64_t acknowledged(std::uint64_t wire) const noexcept;
    /// Of a send that fails: how many of the application's bytes were encoded, but not sent.
    [[nodiscard]] std::uint64_t plain_unsent() const noexcept;

    [[nodiscard]] bool ends_with_reset() const noexcept override { return true; }
    [[nodiscard]] at_ending when_ending() const noexcept override { return at_ending::keep; }

private:
    [[nodiscard]] bool may_send() const noexcept;
    [[nodiscard]] bool may_speak() const noexcept;
    [[nodiscard]] bool nothing_will_come() const noexcept;
    [[nodiscard]] std::error_code why_not() const noexcept;
    void note_failure(std::error_code error) noexcept;
    [[nodiscard]] std::uint64_t wire_end() const noexcept;
    void kick() noexcept;
    void piece() noexcept;
    void tell_turn() noexcept;
    void fail(std::error_code why) noexcept;
    void give_up() noexcept;
    void note_record(std::uint64_t plain_end);
    void forget_acknowledged();
    void settled(completion what) noexcept override;

    std::unique_ptr<layer> beneath_;
    layer::buffer out_;  // on its way
    layer::buffer next_; // behind it
    layer::buffer dropped_;
    std::size_t out_at_ = 0;
    queued_operation* turn_ = nullptr;
    std::uint64_t turn_ends_ = 0; // with this byte of the wire
    record_map records_;
    std::size_t records_wanted_; // at most, before those that have arrived are forgotten
    std::uint64_t wire_received_;
    std::uint64_t wire_sent_;
    packed_error error_;
    packed_error send_error_; // nothing can be sent any more
    bool said_goodbye_ = false;
};

} // namespace ringdown
