#pragma once

#include <optional>
#include <ostream> // doctest prints error codes
#include <string>
#include <system_error>
#include <utility>

#include <sys/resource.h>

#include <ringdown/runtime/loop.hpp>
#include <ringdown/runtime/noop.hpp>

#include "leaks.hpp"

/// Built with AddressSanitizer, where every frame comes from the heap.
constexpr bool sanitized =
#if defined(__SANITIZE_ADDRESS__)
    true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    true;
#else
    false;
#endif
#else
    false;
#endif

/// A loop that must have given everything back when the test ends: operations, provided buffers,
/// frames, descriptors.
class test_loop {
    leak_guard guard_; // before the loop, so that it counts after the loop's destruction

public:
    explicit test_loop(const ringdown::loop_options& options = {}) : loop(options) {}
    ~test_loop();

    /// Runs the coroutine that `body` makes. `body` is kept, so it may capture.
    template <class Body>
    auto run(Body body) {
        return loop.run(body());
    }

    ringdown::loop loop;
};

/// Lets the loop take that many turns.
ringdown::task<void> turns(int count);

/// Awaits a task and says so; for waiting on what was spawned.
template <class T>
ringdown::task<void> store(ringdown::task<T> running, std::optional<T>& into) {
    into.emplace(co_await running);
}

/// Raises the process's limit of descriptors, often 1,024, to what the user is permitted, 20,000 at
/// most. Returns the limit.
std::size_t allow_descriptors();

/// Allows the process this many descriptors more than it has, until the end of the block.
class descriptor_limit {
public:
    explicit descriptor_limit(std::size_t more);
    descriptor_limit(const descriptor_limit&) = delete;
    descriptor_limit& operator=(const descriptor_limit&) = delete;
    ~descriptor_limit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

/// What an exception says that `make` throws when the process has that many descriptors to spare;
/// empty when it throws none.
template <class Make>
std::string refusal_without_descriptors(std::size_t more, Make make) {
    try {
        const descriptor_limit few(more);
        make();
    } catch (const std::system_error& refused) {
        return refused.what();
    }
    return {};
}
