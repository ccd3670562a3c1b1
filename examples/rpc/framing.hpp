#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>

#include <msgpack.hpp>

namespace rpc {

/// A message that has arrived whole.
struct frame {
    msgpack::object_handle value;
    std::size_t bytes = 0; ///< On the wire.
};

/// Cuts a stream of bytes into MessagePack values, and keeps no more of it than its limits allow.
///
/// Of a message that is too large no more is kept than the limit and what was read beyond it in one
/// go, whatever length it announces. An array or a map that announces more values than a quarter of
/// that limit is refused at once. Decoded, a message takes up to 24 times its bytes, since each of
/// them may be a value.
/// After an error there is no telling where the next message begins: the conversation is over.
class framing {
public:
    /// Deepest nesting of arrays and maps that is taken.
    static constexpr std::size_t depth_max = 64;

    explicit framing(std::uint64_t frame_max);

    /// Where the next bytes are to be received.
    std::span<std::byte> space();
    void received(std::size_t bytes);

    /// The next message, if one has arrived whole.
    ///
    /// Errors: a line that says what is wrong with what has arrived.
    std::expected<std::optional<frame>, std::string> next();

    /// Part of a message has arrived, and not its end.
    [[nodiscard]] bool inside_message() const noexcept { return received_ > begun_at_; }

private:
    [[nodiscard]] std::string oversized() const;

    std::uint64_t frame_max_;
    std::uint64_t received_ = 0; // bytes, since the beginning
    std::uint64_t begun_at_ = 0; // of these, before the message that is arriving
    msgpack::unpacker unpacker_;
};

} // namespace rpc
