#include "message.hpp"

#include <limits>

#include <nlohmann/json.hpp>

namespace rpc {
namespace {

// A str of MessagePack is UTF-8; what a peer sent as one, and an error repeats, may not be.
std::string in_utf8(std::string_view text) {
    using nlohmann::json;
    const std::string escaped = json(text).dump(-1, ' ', false, json::error_handler_t::replace);
    return json::parse(escaped).get<std::string>();
}

std::optional<std::uint32_t> id_in(const msgpack::object& value) {
    if (value.type != msgpack::type::POSITIVE_INTEGER ||
        value.via.u64 > std::numeric_limits<std::uint32_t>::max())
        return {};
    return static_cast<std::uint32_t>(value.via.u64);
}

std::expected<message, bad_message> read_call(message_type type, std::optional<std::uint32_t> id,
                                              const msgpack::object& method,
                                              const msgpack::object& params) {
    if (method.type != msgpack::type::STR)
        return std::unexpected(bad_message{id, "the method's name is no string"});
    if (params.type != msgpack::type::ARRAY)
        return std::unexpected(bad_message{id, "the params are no array"});
    return message{.type = type,
                   .id = id,
                   .method = {method.via.str.ptr, method.via.str.size},
                   .params = &params};
}

} // namespace

std::expected<message, bad_message> read_message(const msgpack::object& value) {
    const auto bad = [](std::string why) { return std::unexpected(bad_message{{}, why}); };
    if (value.type != msgpack::type::ARRAY || value.via.array.size == 0)
        return bad("not an array that begins with a message's type");
    const msgpack::object* const parts = value.via.array.ptr;
    const auto size = value.via.array.size;
    const auto type = id_in(parts[0]);
    if (!type || *type > 2) return bad("not one of the message types 0, 1 and 2");
    if (size != (*type == 2 ? 3 : 4)) return bad("a message with too few or too many parts");
    if (*type == 2) return read_call(message_type::notification, {}, parts[1], parts[2]);

    const auto id = id_in(parts[1]);
    if (*type == 0) {
        if (!id) return bad("the id is no number of 32 bits");
        return read_call(message_type::request, id, parts[2], parts[3]);
    }
    if (!id && parts[1].type != msgpack::type::NIL) return bad("the id is no number of 32 bits");
    return message{
        .type = message_type::response, .id = id, .error = &parts[2], .result = &parts[3]};
}

void begin_request(packed& bytes, std::uint32_t id, std::string_view method) {
    msgpack::packer<packed> packer(bytes);
    packer.pack_array(4).pack(0).pack(id).pack(method);
}

void begin_result(packed& bytes, std::uint32_t id) {
    msgpack::packer<packed> packer(bytes);
    packer.pack_array(4).pack(1).pack(id).pack_nil();
}

void pack_error(packed& bytes, std::optional<std::uint32_t> id, std::string_view error) {
    msgpack::packer<packed> packer(bytes);
    packer.pack_array(4).pack(1);
    if (id)
        packer.pack(*id);
    else
        packer.pack_nil();
    packer.pack(in_utf8(error)).pack_nil();
}

} // namespace rpc
