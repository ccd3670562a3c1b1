#include "framing.hpp"

namespace rpc {
namespace {

constexpr std::size_t read_at_once = 16 * 1024;
constexpr std::size_t worth_reading = 4 * 1024;

} // namespace

framing::framing(std::uint64_t frame_max)
    : frame_max_(frame_max), scanner_(frame_max, read_at_once + worth_reading) {}

std::span<std::byte> framing::space() {
    if (scanner_.buffer_capacity() < worth_reading) scanner_.reserve_buffer(read_at_once);
    return std::as_writable_bytes(std::span(scanner_.buffer(), scanner_.buffer_capacity()));
}

void framing::received(std::size_t bytes) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(begun_at_));
    begun_at_ = 0;
    bytes_.insert(bytes_.end(), scanner_.buffer(), scanner_.buffer() + bytes);
    scanner_.buffer_consumed(bytes);
}

std::expected<std::optional<frame>, std::string> framing::next() {
    if (!inside_message()) return std::nullopt;
    const bool whole = scanner_.next();
    if (scanner_.found() != flaw::none) return std::unexpected(what_is_wrong());
    const std::size_t rest = whole ? scanner_.nonparsed_size() : 0;
    const std::size_t bytes = bytes_.size() - begun_at_ - rest;
    const std::uint64_t announced =
        whole ? bytes : lengths_.at_least(std::span(bytes_).subspan(begun_at_));
    if (announced > frame_max_)
        return std::unexpected("message of more than " + std::to_string(frame_max_) + " bytes");
    if (!whole) return std::nullopt;
    scanner_.reset();
    lengths_.reset();
    return decode(bytes);
}

frame framing::decode(std::size_t bytes) {
    // What a value refers to is copied with it.
    const auto by_reference = [](msgpack::type::object_type, std::size_t, void*) { return false; };
    frame arrived;
    arrived.bytes = bytes;
    arrived.value = msgpack::unpack(bytes_.data() + begun_at_, bytes, by_reference);
    begun_at_ += bytes;
    return arrived;
}

std::string framing::what_is_wrong() const {
    switch (scanner_.found()) {
    case flaw::too_deep:
        return "message nested deeper than " + std::to_string(bounds::depth_max);
    case flaw::too_large:
        return "array or map of more values than fit into " + std::to_string(frame_max_) + " bytes";
    case flaw::malformed:
    case flaw::none:
        break;
    }
    return "not MessagePack";
}

} // namespace rpc
