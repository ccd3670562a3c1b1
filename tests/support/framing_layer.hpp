#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ringdown/net/layer.hpp>

namespace ringdown::testing {

/// A layer of the tests: records with a length and a checksum, and a goodbye of its own. Peers that
/// are no part of the library speak it by the functions below.
class framing_layer : public layer {
public:
    /// With a handshake, nothing is sent before the peer has said hello, which we answer.
    explicit framing_layer(bool handshake = false, std::size_t record_max = 1000)
        : record_max_(record_max), ready_(!handshake) {}

    std::error_code decode(std::span<const std::byte> wire, buffer& plain, buffer& answer) override;
    std::error_code encode(std::span<const std::byte> plain, buffer& wire) override;
    [[nodiscard]] bool ready() const noexcept override { return ready_; }
    [[nodiscard]] bool inside_record() const noexcept override { return !part_.empty(); }
    void say_goodbye(buffer& wire) override;
    [[nodiscard]] bool peer_said_goodbye() const noexcept override { return goodbye_; }
    [[nodiscard]] std::size_t record_bytes_max() const noexcept override { return record_max_; }

private:
    std::size_t record_max_;
    buffer part_; // of a record that has not come whole
    bool ready_;
    bool goodbye_ = false;
};

/// What such a layer puts on the wire.
/// @{
std::string framed(std::string_view plain, std::size_t record_max = 1000);
std::string framed_goodbye();
std::string framed_hello();
std::string framed_rubbish(); ///< A record whose checksum is wrong.
/// @}

/// What it makes of the wire.
struct unframed {
    std::string plain;
    bool goodbye = false;
    bool hello = false;
    bool sound = true; ///< No record was wrong.
    bool whole = true; ///< It ends with a whole record.
};
unframed unframe(std::string_view wire);

} // namespace ringdown::testing
