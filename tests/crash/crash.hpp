#pragma once

#include <cstdio>

#include <sys/resource.h>

#include <ringdown/ringdown.hpp>

/// Says what this program must write to standard error as it aborts; `run_crashes.py` reads it.
inline void must_stop_with(const char* line) {
    const rlimit no_core{};
    ::setrlimit(RLIMIT_CORE, &no_core);
    std::printf("%s\n", line);
    std::fflush(stdout);
}

/// A socket whose peer says nothing.
inline int silent_socket() {
    int ends[2];
    return ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 ? ends[0] : -1;
}
