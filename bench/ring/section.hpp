#pragma once

#include <chrono>
#include <csignal>

namespace bench {

/// The part of a case that counts: timed, or, in a process that is stepped through, marked by
/// stops.
class section {
public:
    explicit section(bool marks) noexcept : marks_(marks) {}

    void begin() noexcept {
        if (marks_) std::raise(SIGSTOP);
        began_ = std::chrono::steady_clock::now();
    }
    void end() noexcept {
        took_ = std::chrono::steady_clock::now() - began_;
        if (marks_) std::raise(SIGSTOP);
    }

    [[nodiscard]] double nanoseconds() const noexcept { return took_.count(); }

private:
    bool marks_;
    std::chrono::steady_clock::time_point began_;
    std::chrono::duration<double, std::nano> took_{};
};

} // namespace bench
