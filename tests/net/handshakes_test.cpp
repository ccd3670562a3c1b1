#include <optional>
#include <string>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include <ringdown/net/internal/handshakes.hpp>
#include <ringdown/net/listener.hpp>
#include <ringdown/runtime/scope.hpp>

#include "support/denying_system.hpp"
#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

namespace {

/// Keeps each handshake under way until the client has sent something, or its SYN-ACK was repeated.
std::shared_ptr<listening_socket> deferring(const char* where,
                                            ringdown::system_calls& calls = kernel()) {
    const auto made =
        std::make_shared<listening_socket>(*address::parse(where), listen_options{}, calls);
    const int seconds = 30;
    REQUIRE(::setsockopt(made->descriptor(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds,
                         sizeof seconds) == 0);
    return made;
}

bool counted() {
    const listening_socket tried(*address::parse("127.0.0.1:0"));
    if (handshakes(kernel(), tried.descriptor(), tried.local()).under_way()) return true;
    MESSAGE("skip: this kernel does not count handshakes");
    return false;
}

} // namespace

TEST_CASE("handshakes: those of one listening socket are counted, until each is complete") {
    if (!counted()) return;
    const auto socket = deferring("127.0.0.1:0");
    const auto other = deferring("127.0.0.1:0");
    auto clients = connect_many(socket->local(), 3);
    auto elsewhere = connect_many(other->local(), 2);
    handshakes begun(kernel(), socket->descriptor(), socket->local());
    CHECK(begun.under_way() == 3);
    clients[0].write("x");
    CHECK(begun.under_way() == 2);
    // One that begins later is not among those that were watched.
    auto late = connect_peer(socket->local());
    CHECK(begun.under_way() == 2);
    clients[1].write("x");
    clients[2].write("x");
    CHECK(begun.under_way() == 0);
}

TEST_CASE("handshakes: more than one part of the kernel's answer holds") {
    if (!counted()) return;
    const auto socket = deferring("127.0.0.1:0");
    auto clients = connect_many(socket->local(), 500);
    CHECK(handshakes(kernel(), socket->descriptor(), socket->local()).under_way() == 500);
}

TEST_CASE("handshakes: over IPv4 at a socket of IPv6 they count as well") {
    const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const address any = *address::parse("[::]:0");
    const bool bound = fd >= 0 && ::bind(fd, any.data(), any.size()) == 0;
    ::close(fd);
    if (!bound) {
        MESSAGE("skip: no IPv6 here");
        return;
    }
    if (!counted()) return;
    const auto socket = deferring("[::]:0");
    const std::string text = socket->local().text();
    const auto to = *address::parse("127.0.0.1" + text.substr(text.rfind(':')));
    auto clients = connect_many(to, 2);
    CHECK(handshakes(kernel(), socket->descriptor(), socket->local()).under_way() == 2);
}

TEST_CASE("handshakes: a kernel that does not tell is not taken for one that counts none") {
    denying_system calls;
    calls.deny_sock_diag();
    const auto socket = deferring("127.0.0.1:0", calls);
    auto client = connect_peer(socket->local());
    CHECK_FALSE(handshakes(calls, socket->descriptor(), socket->local()).under_way());
    // As with a socket of another network namespace, which is not among those that are told of.
    const auto closed = socket->local();
    const int other = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_FALSE(handshakes(kernel(), other, closed).under_way());
    ::close(other);
}

TEST_CASE("stop: waits for handshakes under way as long as it may, and takes who completes") {
    if (!counted()) return;
    for (const bool silent : {false, true}) {
        CAPTURE(silent);
        test_loop on;
        on.run([&]() -> task<void> {
            listener from(on.loop, deferring("127.0.0.1:0"));
            auto client = connect_peer(from.local());
            std::optional<result<refusal>> stopped;
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(store(from.stop({.within = 1h}), stopped));
                co_await turns(20);
                CHECK_FALSE(stopped.has_value());
                // A silent one's handshake completes when the kernel repeats SYN-ACK.
                if (!silent) client.write("x");
            });
            CHECK(stopped->has_value());
            CHECK(from.accepted() == 1);
            auto accepted = co_await from.accept();
            REQUIRE(accepted.has_value());
            if (silent) client.write("x");
            CHECK(co_await read_some(*accepted, 1) == "x");
        });
    }
}

TEST_CASE("stop: with no handshake under way it does not wait for the time that they may take") {
    if (!counted()) return;
    test_loop on;
    on.run([&]() -> task<void> {
        listener from(on.loop, any_port());
        CHECK(co_await from.stop({.within = 1h, .uncounted = 1h}));
    });
}

TEST_CASE("stop: handshakes that get no time, or not enough, are reset") {
    denying_system calls;
    calls.deny_sock_diag();
    test_loop on({.calls = &calls});
    on.run([&]() -> task<void> {
        for (const handshake_patience none :
             {handshake_patience{.within = 0s}, handshake_patience{.uncounted = 20ms}}) {
            listener from(on.loop, deferring("127.0.0.1:0", calls));
            auto client = connect_peer(from.local());
            CHECK(co_await from.stop(none));
            CHECK(from.accepted() == 0);
            client.write("x"); // the kernel answers it by a reset
            CHECK(client.read(1).empty());
            CHECK(client.last_error() == ECONNRESET);
        }
    });
}
