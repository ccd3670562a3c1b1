#pragma once

#include <cstdlib>
#include <exception>

#include <grp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/// Runs `body` in a child process and answers its exit status, or 128 and the signal that ended it,
/// as a shell does. For what a process cannot take back, or must not be inherited by other tests.
template <class Body>
int in_child(Body body) {
    const pid_t child = ::fork();
    if (child == 0) {
        int status = 99; // an exception
        try {
            status = body();
        } catch (const std::exception&) {
        }
        ::_exit(status);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// The same as an ordinary user who may lock that many bytes, and whom no other test shares: the
/// kernel counts for each user.
template <class Body>
int as_ordinary_user(rlim_t locked_bytes_max, Body body) {
    return in_child([&] {
        const rlimit locked{locked_bytes_max, locked_bytes_max};
        const unsigned user = 60'000 + static_cast<unsigned>(::getpid()) % 5'000;
        if (::setrlimit(RLIMIT_MEMLOCK, &locked) < 0) return 98;
        if (::getuid() == 0 &&
            (::setgroups(0, nullptr) < 0 || ::setgid(user) < 0 || ::setuid(user) < 0))
            return 97;
        return body();
    });
}
