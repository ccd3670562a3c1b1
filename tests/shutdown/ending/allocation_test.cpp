// A program of its own, because it counts every allocation of the process.

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>

#include <sys/socket.h>

#include <doctest/doctest.h>

#include <ringdown/ringdown.hpp>

#include "support/fixture.hpp"

using namespace ringdown;

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

// One call of a client and its answer, over both sessions.
task<void> call(session& client, session& server, std::span<std::byte> buffer, bool as_lease) {
    auto due = client.begin_request();
    const auto asked = co_await due->send(buffer);
    CHECK(!asked.error);
    if (as_lease) {
        const auto came = co_await server.recv_lease();
        CHECK(came->size() == buffer.size());
    } else {
        const auto came = co_await server.recv(buffer);
        CHECK(*came == buffer.size());
    }
    auto owed = server.begin_request();
    server.inside_message(false);
    const auto answered = co_await owed->send(buffer);
    CHECK(!answered.error);
    owed->finish();
    const auto answer = co_await client.recv(buffer);
    CHECK(*answer == buffer.size());
    due->finish();
    const auto note = co_await client.send(buffer);
    CHECK(!note.error);
    const auto noted = co_await server.recv(buffer);
    CHECK(*noted == buffer.size());
}

task<long> allocations_once_warm(session& client, session& server, bool as_lease) {
    std::array<std::byte, 100> buffer{};
    for (int i = 0; i < 100; ++i)
        co_await call(client, server, buffer, as_lease);
    const long before = allocations;
    for (int i = 0; i < 100; ++i)
        co_await call(client, server, buffer, as_lease);
    co_return allocations - before;
}

} // namespace

TEST_CASE("allocations: none for requests, their sends and receives, into a buffer or as a lease") {
    if (sanitized) {
        MESSAGE("skip: under AddressSanitizer every frame comes from the heap");
        return;
    }
    test_loop on;
    on.run([&]() -> task<void> {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        session client(*adopt(on.loop, ends[0]), session_role::client);
        session server(*adopt(on.loop, ends[1]), session_role::server);
        const long plain = co_await allocations_once_warm(client, server, false);
        CHECK(plain == 0);
        const long leased = co_await allocations_once_warm(client, server, true);
        CHECK(leased == 0);
        CHECK(allocations > 0); // it counts
    });
}
