#pragma once

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include <sys/socket.h>

#include "fixture_system.hpp"

/// Linux, where some things are forbidden: socket options to set, and to ask sock_diag(7).
class denying_system final : public forwarding_system {
public:
    void deny_option(int level, int name) { denied_.emplace_back(level, name); }
    void deny_sock_diag() { no_netlink_ = true; }

    int setsockopt(int fd, int level, int name, const void* value,
                   socklen_t bytes) noexcept override {
        if (std::ranges::find(denied_, std::pair(level, name)) != denied_.end()) return -EPERM;
        return forwarding_system::setsockopt(fd, level, name, value, bytes);
    }
    int socket(int domain, int type, int protocol) noexcept override {
        if (no_netlink_ && domain == AF_NETLINK) return -EAFNOSUPPORT;
        return forwarding_system::socket(domain, type, protocol);
    }

private:
    std::vector<std::pair<int, int>> denied_;
    bool no_netlink_ = false;
};
