#include "json_value.hpp"

#include <span>
#include <stdexcept>

#include "scanner.hpp"

namespace rpc {
namespace {

using json = nlohmann::json;

std::string to_hex(const char* data, std::size_t size) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string hex;
    for (std::size_t i = 0; i < size; ++i) {
        const auto byte = static_cast<unsigned char>(data[i]);
        hex += {digits[byte >> 4], digits[byte & 15]};
    }
    return hex;
}

std::string from_hex(const json& text) {
    const std::string hex = text.is_string() ? text.get<std::string>() : "?";
    if (hex.size() % 2 || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
        throw std::invalid_argument(json_line(text) +
                                    " is no hexadecimal string, such as \"00ff\"");
    std::string bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2)
        bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return bytes;
}

json map_to_json(const msgpack::object_map& map) {
    json object = json::object();
    for (const auto& [key, value] : std::span(map.ptr, map.size)) {
        const json name = to_json(key);
        object[name.is_string() ? name.get<std::string>() : json_line(name)] = to_json(value);
    }
    return object;
}

void pack_string(msgpack::packer<packed>& packer, const std::string& text) {
    packer.pack_str(static_cast<std::uint32_t>(text.size()));
    packer.pack_str_body(text.data(), static_cast<std::uint32_t>(text.size()));
}

std::int8_t extension_type(const json& number) {
    // As unsigned it may be larger than any signed number, and would wrap.
    const bool fits = number.is_number_unsigned() ? number.get<std::uint64_t>() <= 127
                                                  : number.get<std::int64_t>() >= -128;
    if (!fits)
        throw std::invalid_argument("the type of an extension is -128 to 127, not " +
                                    json_line(number));
    return number.get<std::int8_t>();
}

bool pack_special(msgpack::packer<packed>& packer, const json& object) {
    if (object.size() != 1) return false;
    if (const auto found = object.find("$bin"); found != object.end()) {
        const std::string bytes = from_hex(*found);
        packer.pack_bin(static_cast<std::uint32_t>(bytes.size()));
        packer.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
        return true;
    }
    const auto found = object.find("$ext");
    if (found == object.end() || !found->is_array() || found->size() != 2 ||
        !(*found)[0].is_number_integer())
        return false;
    const std::string bytes = from_hex((*found)[1]);
    packer.pack_ext(bytes.size(), extension_type((*found)[0]));
    packer.pack_ext_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
    return true;
}

} // namespace

json to_json(const msgpack::object& value) {
    switch (value.type) {
    case msgpack::type::NIL:
        return nullptr;
    case msgpack::type::BOOLEAN:
        return value.via.boolean;
    case msgpack::type::POSITIVE_INTEGER:
        return value.via.u64;
    case msgpack::type::NEGATIVE_INTEGER:
        return value.via.i64;
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64:
        return value.via.f64;
    case msgpack::type::STR:
        return std::string(value.via.str.ptr, value.via.str.size);
    case msgpack::type::BIN:
        return {{"$bin", to_hex(value.via.bin.ptr, value.via.bin.size)}};
    case msgpack::type::EXT:
        return {{"$ext", {value.via.ext.type(), to_hex(value.via.ext.data(), value.via.ext.size)}}};
    case msgpack::type::ARRAY: {
        json array = json::array();
        for (const auto& each : std::span(value.via.array.ptr, value.via.array.size))
            array.push_back(to_json(each));
        return array;
    }
    case msgpack::type::MAP:
        return map_to_json(value.via.map);
    }
    return nullptr;
}

void pack_json(msgpack::packer<packed>& packer, const json& value, std::size_t depth) {
    if (depth > bounds::depth_max)
        throw std::invalid_argument("it is nested deeper than " +
                                    std::to_string(bounds::depth_max));
    switch (value.type()) {
    case json::value_t::boolean:
        packer.pack(value.get<bool>());
        break;
    case json::value_t::number_unsigned:
        packer.pack(value.get<std::uint64_t>());
        break;
    case json::value_t::number_integer:
        packer.pack(value.get<std::int64_t>());
        break;
    case json::value_t::number_float:
        packer.pack(value.get<double>());
        break;
    case json::value_t::string:
        pack_string(packer, value.get_ref<const std::string&>());
        break;
    case json::value_t::array:
        packer.pack_array(static_cast<std::uint32_t>(value.size()));
        for (const json& each : value)
            pack_json(packer, each, depth + 1);
        break;
    case json::value_t::object:
        if (pack_special(packer, value)) break;
        packer.pack_map(static_cast<std::uint32_t>(value.size()));
        for (const auto& [name, each] : value.items()) {
            pack_string(packer, name);
            pack_json(packer, each, depth + 1);
        }
        break;
    case json::value_t::null:
    case json::value_t::binary:
    case json::value_t::discarded:
        packer.pack_nil();
        break;
    }
}

std::string json_line(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace rpc
