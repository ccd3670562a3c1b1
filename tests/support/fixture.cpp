#include "fixture.hpp"

#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/runtime/buffers.hpp>

test_loop::~test_loop() {
    CHECK_MESSAGE(loop.operations_in_flight() == 0, "operations are in flight");
    const auto& buffers = loop.service<ringdown::buffer_pool>();
    CHECK_MESSAGE(buffers.available() == buffers.count(), "provided buffers are out");
    CHECK_MESSAGE(buffers.copies() == 0, "copies of what was in buffers are out");
}

ringdown::task<void> turns(int count) {
    for (int i = 0; i < count; ++i)
        co_await ringdown::noop();
}

std::size_t allow_descriptors() {
    rlimit now{};
    ::getrlimit(RLIMIT_NOFILE, &now);
    now.rlim_cur = std::min<rlim_t>(now.rlim_max, 20'000);
    ::setrlimit(RLIMIT_NOFILE, &now);
    return now.rlim_cur;
}

descriptor_limit::descriptor_limit(std::size_t more) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    // The limit is on the number of a new descriptor, so the holes below it count as well.
    rlimit lowered = before_;
    lowered.rlim_cur = 0;
    for (std::size_t free = 0;; ++lowered.rlim_cur) {
        if (::fcntl(static_cast<int>(lowered.rlim_cur), F_GETFD) >= 0) continue;
        if (free++ == more) break;
    }
    ::setrlimit(RLIMIT_NOFILE, &lowered);
}
