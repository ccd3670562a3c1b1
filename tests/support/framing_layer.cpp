#include "framing_layer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ringdown::testing {
namespace {

enum class kind : std::uint32_t { data, goodbye, hello };

struct header {
    std::uint32_t length;
    kind what;
    std::uint32_t checksum;
};

std::uint32_t checksum_of(std::string_view bytes) {
    std::uint32_t sum = 2166136261U;
    for (const char byte : bytes)
        sum = (sum ^ static_cast<unsigned char>(byte)) * 16777619U;
    return sum;
}

std::string record(kind what, std::string_view plain) {
    const header head{static_cast<std::uint32_t>(plain.size()), what, checksum_of(plain)};
    std::string made(sizeof head, '\0');
    std::memcpy(made.data(), &head, sizeof head);
    return made.append(plain);
}

std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void append(layer::buffer& to, std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    to.insert(to.end(), bytes.begin(), bytes.end());
}

// Takes whole records off the front, as long as they are sound and no goodbye has come.
void take_records(std::string_view& wire, unframed& into) {
    header head;
    while (into.sound && !into.goodbye && wire.size() >= sizeof head) {
        std::memcpy(&head, wire.data(), sizeof head);
        if (wire.size() - sizeof head < head.length) return;
        const std::string_view plain = wire.substr(sizeof head, head.length);
        into.sound = checksum_of(plain) == head.checksum;
        if (!into.sound) return;
        into.goodbye = head.what == kind::goodbye;
        into.hello = into.hello || head.what == kind::hello;
        into.plain.append(plain);
        wire.remove_prefix(sizeof head + head.length);
    }
}

} // namespace

std::error_code framing_layer::decode(std::span<const std::byte> wire, buffer& plain,
                                      buffer& answer) {
    part_.insert(part_.end(), wire.begin(), wire.end());
    std::string_view rest = text_of(part_);
    unframed found;
    take_records(rest, found);
    append(plain, found.plain);
    if (found.hello && !std::exchange(ready_, true)) append(answer, framed_hello());
    goodbye_ = found.goodbye;
    part_.erase(part_.begin(), part_.end() - static_cast<std::ptrdiff_t>(rest.size()));
    return found.sound ? std::error_code{} : std::make_error_code(std::errc::bad_message);
}

std::error_code framing_layer::encode(std::span<const std::byte> plain, buffer& wire) {
    append(wire, record(kind::data, text_of(plain)));
    return {};
}

void framing_layer::say_goodbye(buffer& wire) { append(wire, framed_goodbye()); }

std::string framed(std::string_view plain, std::size_t record_max) {
    std::string made;
    for (; !plain.empty(); plain.remove_prefix(std::min(plain.size(), record_max)))
        made += record(kind::data, plain.substr(0, record_max));
    return made;
}

std::string framed_goodbye() { return record(kind::goodbye, {}); }
std::string framed_hello() { return record(kind::hello, {}); }

std::string framed_rubbish() {
    std::string made = record(kind::data, "rubbish");
    made.back() ^= 1;
    return made;
}

unframed unframe(std::string_view wire) {
    unframed made;
    take_records(wire, made);
    made.whole = wire.empty();
    return made;
}

} // namespace ringdown::testing
