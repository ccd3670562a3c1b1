#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lengths.hpp"
#include "scanner.hpp"

namespace rpc {

/// A message that has arrived whole.
struct frame {
    msgpack::object_handle value;
    std::size_t bytes = 0; ///< On the wire.
};

/// Cuts a stream of bytes into MessagePack values, and keeps no more of it than its limits allow.
///
/// A message is refused as soon as what it announces, in whatever depth, exceeds the limit: nobody
/// waits for the rest of it, and no more is kept than the limit and what was read beyond it in one
/// go. Nothing is decoded before all of it is there. Decoded, a
/// message takes up to 24 times its bytes, since each of them may be a value.
/// After an error there is no telling where the next message begins: the conversation is over.
class framing {
public:
    explicit framing(std::uint64_t frame_max);

    /// Where the next bytes are to be received.
    std::span<std::byte> space();
    void received(std::size_t bytes);

    /// The next message, if one has arrived whole.
    ///
    /// Errors: a line that says what is wrong with what has arrived.
    std::expected<std::optional<frame>, std::string> next();

    /// Part of a message has arrived, and not its end.
    [[nodiscard]] bool inside_message() const noexcept { return begun_at_ < bytes_.size(); }

private:
    [[nodiscard]] std::string what_is_wrong() const;
    frame decode(std::size_t bytes);

    std::uint64_t frame_max_;
    scanner scanner_;
    lengths lengths_;          // of the message that has begun
    std::vector<char> bytes_;  // that have arrived, from some message's first on
    std::size_t begun_at_ = 0; // of these, those of messages that have been handed out
};

} // namespace rpc
