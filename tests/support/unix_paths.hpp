#pragma once

#include <string>

#include <sys/socket.h>
#include <unistd.h>

#include <ringdown/net/address.hpp>

namespace ringdown::testing {

inline address at_path(const std::string& path) { return *address::parse("unix:" + path); }

inline bool can_connect(const std::string& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const address to = at_path(path);
    const bool done = ::connect(fd, to.data(), to.size()) == 0;
    ::close(fd);
    return done;
}

} // namespace ringdown::testing
