#include "progress.hpp"

#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace ringdown_demo {

progress::progress(clock::time_point started)
    : started_(started), terminal_(::isatty(STDOUT_FILENO) == 1) {
    next_ = started + interval();
}

clock::duration progress::interval() const {
    return terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(1);
}

void progress::show(std::string_view what, std::string_view counts) {
    const auto now = clock::now();
    next_ = now + interval();
    fmt::print("{}{:6.1f} s  {:<8}  {}{}", terminal_ ? "\r\x1b[K" : "",
               std::chrono::duration<double>(now - started_).count(), what, counts,
               terminal_ ? "" : "\n");
    std::fflush(stdout);
}

void progress::finish() const { fmt::print("{}\n", terminal_ ? "\n" : ""); }

} // namespace ringdown_demo
