#pragma once

#include <nlohmann/json.hpp>

#include "message.hpp"

namespace rpc {

/// A MessagePack value as JSON. What JSON does not know becomes an object of one member: bytes
/// `{"$bin": "00ff"}`, an extension `{"$ext": [type, "00ff"]}`. A key that is no string becomes its
/// own JSON text.
nlohmann::json to_json(const msgpack::object& value);

/// Packs a JSON value; the objects of one member above become what they stand for.
///
/// Throws `std::invalid_argument` when what stands in one is not hexadecimal, or the type of an
/// extension not one of -128 to 127, and when arrays and objects are nested deeper than a peer
/// would take.
void pack_json(msgpack::packer<packed>& packer, const nlohmann::json& value, std::size_t depth = 0);

/// One line. Bytes of strings that are not UTF-8 are replaced by U+FFFD.
std::string json_line(const nlohmann::json& value);

} // namespace rpc
