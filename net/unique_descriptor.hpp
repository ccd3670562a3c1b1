#pragma once

#include <utility>

#include <ringdown/runtime/system_calls.hpp>

namespace ringdown {

/// Owns an open descriptor that no connection of the library owns; closes it when destroyed.
///
/// That close is the kernel's own: it waits for nothing, tells nothing, and resets a connection
/// that is still open if it has unread data.
/// Lifetime: the system it was made with outlives it.
class unique_descriptor {
public:
    unique_descriptor() noexcept = default;
    explicit unique_descriptor(int fd, system_calls& calls = kernel()) noexcept
        : fd_(fd), calls_(&calls) {}
    unique_descriptor(unique_descriptor&& other) noexcept
        : fd_(std::exchange(other.fd_, -1)), calls_(other.calls_) {}
    unique_descriptor& operator=(unique_descriptor&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
            calls_ = other.calls_;
        }
        return *this;
    }
    ~unique_descriptor() { reset(); }

    /// False when there is none: default-made, moved from, released.
    explicit operator bool() const noexcept { return fd_ >= 0; }
    /// -1 when there is none.
    [[nodiscard]] int get() const noexcept { return fd_; }
    /// Gives the descriptor up to the caller, who closes it.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    /// Closes it now.
    void reset() noexcept {
        if (fd_ >= 0) calls_->close(std::exchange(fd_, -1));
    }

private:
    int fd_ = -1;
    system_calls* calls_ = &kernel();
};

} // namespace ringdown
