#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <msgpack.hpp>

namespace rpc {

/// The first element of a message.
enum class message_type : std::uint8_t {
    request = 0,      ///< [0, id, method, params]
    response = 1,     ///< [1, id, error, result]
    notification = 2, ///< [2, method, params]
};

/// A message of MessagePack-RPC. Refers to the value that it was read from.
struct message {
    message_type type{};
    std::optional<std::uint32_t> id; ///< None: of a notification, or of what cannot be answered.
    std::string_view method;
    const msgpack::object* params = nullptr; ///< Always an array.
    const msgpack::object* error = nullptr;
    const msgpack::object* result = nullptr;
};

/// What is not a message, and the id to answer it by, if it has one.
struct bad_message {
    std::optional<std::uint32_t> id;
    std::string why;
};

std::expected<message, bad_message> read_message(const msgpack::object& value);

/// A message as bytes.
using packed = msgpack::sbuffer;

/// Begins a request; its params, an array, are to be packed behind it.
void begin_request(packed& bytes, std::uint32_t id, std::string_view method);
/// Begins the answer that is no error; its result is to be packed behind it.
void begin_result(packed& bytes, std::uint32_t id);
/// The answer that is an error. Without an id it answers whatever the peer has sent last. What is
/// no UTF-8 in `error` becomes U+FFFD.
void pack_error(packed& bytes, std::optional<std::uint32_t> id, std::string_view error);

inline std::span<const std::byte> bytes_of(const packed& buffer) {
    return std::as_bytes(std::span(buffer.data(), buffer.size()));
}

} // namespace rpc
