#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace ringdown::testing {

/// One TCP segment as it went over loopback.
struct wire_segment {
    std::uint16_t from = 0; ///< Ports.
    std::uint16_t to = 0;
    std::uint32_t sequence = 0; ///< Of the first byte.
    std::uint32_t payload = 0;
    bool syn = false;
    bool fin = false;
    bool rst = false;
    bool ack = false;
};

/// Every segment over loopback since it was made, or every RST, or every RST and FIN, by packet
/// sockets, which stay open for the captures to come.
class wire_capture {
public:
    enum class what : std::uint8_t { all, resets, ends };

    explicit wire_capture(what captured = what::all);
    wire_capture(const wire_capture&) = delete;
    wire_capture& operator=(const wire_capture&) = delete;
    ~wire_capture();

    /// False when packet sockets are not permitted.
    [[nodiscard]] bool works() const noexcept { return sockets_[0] >= 0 && sockets_[1] >= 0; }

    /// What has been captured so far and not been taken before, without what TCP sent once more: a
    /// busy machine acknowledges so late that the kernel repeats itself.
    std::vector<wire_segment> take();

private:
    bool repeats(const wire_segment& segment);

    what captured_;
    std::vector<wire_segment> last_sent_; // the one that went furthest, of each pair of ports
    std::array<int, 2> sockets_;          // IPv4, IPv6
};

/// The segments that `port` sent, as text: `syn`, `data`, `data+fin`, `fin`, `rst`; bare
/// acknowledgements are left out.
std::string sent_by(const std::vector<wire_segment>& all, std::uint16_t port);

} // namespace ringdown::testing
