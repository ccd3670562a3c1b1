#include "leaks.hpp"

#include <filesystem>
#include <iterator>

#include <doctest/doctest.h>

#include <ringdown/runtime/internal/frame_pool.hpp>

std::size_t open_descriptors() {
    // The directory itself is open while it is counted, every time alike.
    using entries = std::filesystem::directory_iterator;
    return static_cast<std::size_t>(std::distance(entries("/proc/self/fd"), entries()));
}

leak_guard::leak_guard()
    : descriptors_(open_descriptors()), frames_(ringdown::frame_pool::statistics().live) {}

leak_guard::~leak_guard() {
    CHECK_MESSAGE(open_descriptors() == descriptors_, "descriptors leaked");
    CHECK_MESSAGE(ringdown::frame_pool::statistics().live == frames_, "frames leaked");
}
