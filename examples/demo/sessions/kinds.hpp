#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <string_view>

namespace ringdown_demo {

/// What a client of sessions does at a moment of its own choice.
enum class client_act {
    none,
    half_close, ///< FIN behind its last request, with requests in progress
    cut,        ///< half a request, and FIN
    reset,
};

/// One sort of client. Each keeps requests in progress until its own act or the server's FIN.
struct session_kind {
    std::string_view name;
    unsigned weight = 0;                  ///< of 100; 0: there is one of it
    unsigned in_flight = 1;               ///< requests in progress at a time
    std::chrono::milliseconds longest{0}; ///< of its requests at the server
    unsigned answer_bytes_max = 0;
    client_act acts = client_act::none;
    std::size_t read_bytes = 65536; ///< at a time
    bool finishes = true;           ///< sends its FIN when it has read the server's
};

inline constexpr std::array session_kinds{
    session_kind{.name = "pipelines",
                 .weight = 40,
                 .in_flight = 8,
                 .longest = std::chrono::milliseconds(20),
                 .answer_bytes_max = 4096},
    session_kind{.name = "slow requests",
                 .weight = 20,
                 .in_flight = 4,
                 .longest = std::chrono::milliseconds(700),
                 .answer_bytes_max = 1024},
    session_kind{.name = "reads slowly",
                 .weight = 10,
                 .in_flight = 2,
                 .answer_bytes_max = 200'000,
                 .read_bytes = 8192},
    session_kind{.name = "ends in the middle",
                 .weight = 15,
                 .in_flight = 6,
                 .longest = std::chrono::milliseconds(200),
                 .answer_bytes_max = 2048,
                 .acts = client_act::half_close},
    session_kind{.name = "cuts a request off",
                 .weight = 7,
                 .in_flight = 3,
                 .longest = std::chrono::milliseconds(200),
                 .answer_bytes_max = 2048,
                 .acts = client_act::cut},
    session_kind{.name = "resets in the middle",
                 .weight = 8,
                 .in_flight = 6,
                 .longest = std::chrono::milliseconds(200),
                 .answer_bytes_max = 65536,
                 .acts = client_act::reset},
    session_kind{.name = "asks for a minute", .in_flight = 1, .longest = std::chrono::minutes(1)},
    session_kind{
        .name = "never finishes", .in_flight = 2, .answer_bytes_max = 1024, .finishes = false},
};

} // namespace ringdown_demo
