#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace load {

/// Ends the run: something was not as promised.
[[noreturn]] inline void fail(const char* what) {
    std::fprintf(stderr, "load: %s\n", what);
    std::exit(1);
}

inline void must(bool held, const char* call) {
    if (held) return;
    std::fprintf(stderr, "load: %s: %s\n", call, std::strerror(errno));
    std::exit(1);
}

} // namespace load
