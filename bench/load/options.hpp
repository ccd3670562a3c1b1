#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <sys/types.h>

namespace load {

struct options {
    std::string workload;
    std::uint16_t port = 0;
    pid_t server = 0; ///< Whose CPU is measured; of `drain` also who gets SIGTERM.
    unsigned connections = 64;
    std::size_t bytes = 64; ///< Of a message; `discard`: of an upload.
    double seconds = 1;
    double warm_up = 0.1;
    double patience = 5; ///< Seconds after which nothing is waited for any more.
    unsigned stuck = 0;  ///< Percent of connections that never read and never close.
    double rate = 0;     ///< Connections begun a second; 0: whenever one has ended.
    bool busy = false;   ///< `drain`: requests go on until the end.
    bool count = false;  ///< Count system calls, which costs some time of the server's.
};

inline constexpr std::size_t request_bytes = 64;

} // namespace load
