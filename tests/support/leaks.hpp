#pragma once

#include <cstddef>
#include <cstdint>

/// Descriptors that this process has open.
std::size_t open_descriptors();

/// Fails the test if it leaves behind what it did not find: descriptors of the process, coroutine
/// frames and state blocks of this thread.
class leak_guard {
public:
    leak_guard();
    leak_guard(const leak_guard&) = delete;
    leak_guard& operator=(const leak_guard&) = delete;
    ~leak_guard();

private:
    std::size_t descriptors_;
    std::int64_t frames_;
};
