#pragma once

#include <memory>
#include <new>
#include <string>
#include <utility>

#include "rig.hpp"
#include "support/framing_layer.hpp"

namespace ringdown::testing {

// Answers each byte that it decodes, and fails when it is told to.
class odd_layer final : public framing_layer {
public:
    using framing_layer::framing_layer;

    std::error_code decode(std::span<const std::byte> wire, buffer& plain,
                           buffer& answer) override {
        if (decode_throws) throw std::bad_alloc();
        const std::error_code error = framing_layer::decode(wire, plain, answer);
        for (std::size_t i = 0; answers && i < plain.size(); ++i)
            append_to(answer, framed("pong"));
        return error;
    }
    std::error_code encode(std::span<const std::byte> plain, buffer& wire) override {
        if (encode_fails) return std::make_error_code(std::errc::value_too_large);
        return framing_layer::encode(plain, wire);
    }

    bool ready() const noexcept override { return !rekeys && framing_layer::ready(); }

    bool answers = false;
    bool decode_throws = false;
    bool encode_fails = false;
    bool rekeys = false; ///< Takes nothing to send for now.

private:
    static void append_to(buffer& to, std::string_view text) {
        const auto bytes = std::as_bytes(std::span(text));
        to.insert(to.end(), bytes.begin(), bytes.end());
    }
};

struct odd_conversation {
    conversation with;
    odd_layer* layer; // the stream's
};

inline odd_conversation connect_odd(rig& here, bool handshake = false, bool over_unix = false) {
    auto made = std::make_unique<odd_layer>(handshake);
    odd_layer* layer = made.get();
    conversation with = over_unix ? here.connect_unix() : here.connect();
    CHECK(with.ours.use_layer(std::move(made)));
    return {std::move(with), layer};
}

inline std::string all_of(peer& theirs) {
    std::string whole;
    for (std::string part = theirs.read(); !part.empty(); part = theirs.read())
        whole += part;
    return whole;
}

} // namespace ringdown::testing
