// A program of its own, because it counts every allocation of the process.

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>

#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/net/stream.hpp>
#include <ringdown/runtime/deadline.hpp>
#include <ringdown/runtime/noop.hpp>
#include <ringdown/runtime/scope.hpp>
#include <ringdown/runtime/sleep.hpp>
#include <ringdown/runtime/when.hpp>

#include "support/fixture.hpp"

using namespace ringdown;
using namespace std::chrono_literals;

namespace {

std::atomic<long> allocations = 0;

} // namespace

void* operator new(std::size_t bytes) {
    ++allocations;
    if (void* memory = std::malloc(bytes)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

/// Allocations that `work` makes in its last hundred rounds, after as many to warm up.
template <class Work>
task<long> allocations_once_warm(Work work) {
    for (int i = 0; i < 100; ++i)
        co_await work();
    const long before = allocations;
    for (int i = 0; i < 100; ++i)
        co_await work();
    co_return allocations - before;
}

struct stream_pair {
    explicit stream_pair(loop& on) {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        here = *adopt(on, ends[0]);
        there = *adopt(on, ends[1]);
    }
    stream here, there;
};

} // namespace

TEST_CASE("allocations: none for a noop or a sleep, and only pooled frames for tasks") {
    if (sanitized) {
        MESSAGE("skip: under AddressSanitizer every frame comes from the heap");
        return;
    }
    test_loop on;
    on.run([&]() -> task<void> {
        CHECK(co_await allocations_once_warm([&]() -> task<void> {
                  co_await noop();
                  (void)co_await sleep_for(1us);
              }) == 0);
    });
}

TEST_CASE("allocations: none for scopes, deadlines and when_any") {
    if (sanitized) {
        MESSAGE("skip: under AddressSanitizer every frame comes from the heap");
        return;
    }
    test_loop on;
    on.run([&]() -> task<void> {
        CHECK(co_await allocations_once_warm([&]() -> task<void> {
                  co_await with_deadline(on.loop.now() + 1h, turns(1));
                  (void)co_await when_any(turns(1), turns(2));
                  co_await with_scope([&](scope& inside) -> task<void> {
                      for (int i = 0; i < 20; ++i)
                          inside.spawn(turns(1));
                      co_return;
                  });
              }) == 0);
    });
}

TEST_CASE("allocations: none for send and recv, into a buffer or as a lease") {
    if (sanitized) {
        MESSAGE("skip: under AddressSanitizer every frame comes from the heap");
        return;
    }
    test_loop on;
    on.run([&]() -> task<void> {
        stream_pair pair(on.loop);
        std::array<std::byte, 100> buffer{};
        CHECK(co_await allocations_once_warm([&]() -> task<void> {
                  CHECK(co_await pair.here.send(buffer));
                  CHECK(*co_await pair.there.recv(buffer) == 100);
              }) == 0);
        CHECK(co_await allocations_once_warm([&]() -> task<void> {
                  CHECK(co_await pair.here.send(buffer));
                  const auto held = co_await pair.there.recv_lease();
                  CHECK(held->size() == 100);
              }) == 0);
    });
}

TEST_CASE("allocations: none for what waits in a full submission queue") {
    if (sanitized) {
        MESSAGE("skip: under AddressSanitizer every frame comes from the heap");
        return;
    }
    test_loop on({.ring = {.entries = 4, .completion_entries = 8, .disabled = {}}});
    on.run([&]() -> task<void> {
        CHECK(co_await allocations_once_warm([&]() -> task<void> {
                  co_await with_scope([&](scope& inside) -> task<void> {
                      for (int i = 0; i < 50; ++i)
                          inside.spawn(turns(1));
                      co_return;
                  });
              }) == 0);
    });
}
