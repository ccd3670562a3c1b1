#include "framing.hpp"

#include <algorithm>

namespace rpc {
namespace {

constexpr std::size_t read_at_once = 16 * 1024;
constexpr std::size_t worth_reading = 4 * 1024;

// What a value refers to is copied: a few bytes of it would keep a whole buffer otherwise.
bool by_reference(msgpack::type::object_type, std::size_t, void*) { return false; }

// Memory for an array is taken when its length is known, before its values are there.
std::size_t values_max(std::uint64_t frame_max) { return static_cast<std::size_t>(frame_max / 4); }

msgpack::unpack_limit limits(std::uint64_t frame_max) {
    const std::size_t values = values_max(frame_max);
    const auto bytes = static_cast<std::size_t>(frame_max);
    return {values, values / 2, bytes, bytes, bytes, framing::depth_max};
}

std::string too_many_values(std::uint64_t frame_max) {
    return "array or map of more than " + std::to_string(values_max(frame_max)) + " values";
}

} // namespace

framing::framing(std::uint64_t frame_max)
    : frame_max_(frame_max),
      unpacker_(by_reference, nullptr, read_at_once + worth_reading, limits(frame_max)) {}

std::span<std::byte> framing::space() {
    if (unpacker_.buffer_capacity() < worth_reading) unpacker_.reserve_buffer(read_at_once);
    return std::as_writable_bytes(std::span(unpacker_.buffer(), unpacker_.buffer_capacity()));
}

void framing::received(std::size_t bytes) {
    unpacker_.buffer_consumed(bytes);
    received_ += bytes;
}

std::string framing::oversized() const {
    return "message of more than " + std::to_string(frame_max_) + " bytes";
}

std::expected<std::optional<frame>, std::string> framing::next() {
    if (!inside_message()) return std::nullopt;
    frame arrived;
    bool whole = false;
    try {
        whole = unpacker_.next(arrived.value);
    } catch (const msgpack::depth_size_overflow&) {
        return std::unexpected("message nested deeper than " + std::to_string(depth_max));
    } catch (const msgpack::array_size_overflow&) {
        return std::unexpected(too_many_values(frame_max_));
    } catch (const msgpack::map_size_overflow&) {
        return std::unexpected(too_many_values(frame_max_));
    } catch (const msgpack::size_overflow&) {
        return std::unexpected(oversized());
    } catch (const msgpack::unpack_error&) {
        return std::unexpected(std::string("not MessagePack"));
    }
    const std::uint64_t taken = received_ - unpacker_.nonparsed_size();
    const std::uint64_t bytes = (whole ? taken : received_) - begun_at_;
    if (bytes > frame_max_) return std::unexpected(oversized());
    if (!whole) return std::nullopt;
    begun_at_ = taken;
    arrived.bytes = static_cast<std::size_t>(bytes);
    return arrived;
}

} // namespace rpc
