#pragma once

#include <chrono>
#include <cstdint>
#include <random>
#include <span>
#include <string_view>

namespace ringdown_demo {

enum class request_kind { none, echo, answer };

enum class reading { at_once, slowly, never };

/// When a peer sends its own FIN.
enum class finishing {
    with_request, ///< right behind the last byte it writes: a half-close
    after_echo,   ///< when everything came back
    after_end,    ///< when it has read the server's end of stream
    never,
};

/// How a peer breaks off, if it does.
enum class leaving {
    no,
    reset,        ///< SO_LINGER {1, 0} and close: RST
    close_unread, ///< plain close with bytes unread, which is RST as well
    vanish,       ///< every packet to it is dropped from then on, and it says nothing any more
};

enum class uploading { no, flood, drip };

struct range {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
};

/// One kind of peer, as data: what it asks for, how it reads, how it ends.
struct peer_kind {
    std::string_view name;
    unsigned weight = 0; ///< share among all kinds
    request_kind request = request_kind::none;
    range amount{}; ///< bytes asked for, or sent to be echoed
    range body{};   ///< bytes sent behind the line of an `answer` request
    reading reads = reading::at_once;
    std::uint64_t read_bytes = 0;             ///< slow readers: so many bytes ...
    std::chrono::milliseconds read_every{0};  ///< ... so often
    std::uint64_t write_bytes = 0;            ///< 0: all at once; else so many bytes ...
    std::chrono::milliseconds write_every{0}; ///< ... so often
    finishing finishes = finishing::never;
    uploading uploads = uploading::no; ///< goes on sending after the server's FIN
    leaving leaves = leaving::no;
    range leave_percent{};      ///< leaves when it has read this share of `amount` ...
    range leave_milliseconds{}; ///< ... and has waited so long after that
    int receive_buffer = 0;     ///< SO_RCVBUF; 0: the kernel's choice
};

/// All kinds; a record names its kind by the index in here.
[[nodiscard]] std::span<const peer_kind> all_kinds();

/// What one peer of a kind will do: the kind's ranges with the dice thrown.
struct script {
    std::size_t kind = 0;
    std::uint64_t amount = 0;
    std::uint64_t body = 0;
    std::uint64_t leave_after_read = 0;
    std::chrono::milliseconds leave_delay{0};
};

[[nodiscard]] script draw_script(std::mt19937_64& dice);

} // namespace ringdown_demo
