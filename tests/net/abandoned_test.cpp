#include <cerrno>

#include <doctest/doctest.h>

#include <ringdown/runtime/scope.hpp>

#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Without anything above net/ a connection that nobody ends is reset, and leaves nothing behind.

namespace {

task<void> send_all(stream& to, std::string what, std::error_code& why) {
    const auto sent = co_await to.send(bytes_of(what));
    why = sent.error;
}

} // namespace

TEST_CASE("abandoned: a send under way ends, and the peer is reset in the middle") {
    for (const bool tcp : {true, false}) {
        CAPTURE(tcp);
        test_loop on;
        on.run([&]() -> task<void> {
            auto [here, there] = tcp ? over_tcp(on.loop) : over_unix(on.loop);
            std::error_code why;
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(send_all(here, std::string(20'000'000, 'x'), why));
                co_await turns(2);
                here = stream();
            });
            CHECK(why == std::errc::operation_canceled);
            there.read_to_end();
            if (tcp) CHECK(there.last_error() == ECONNRESET);
        });
    }
}

TEST_CASE("abandoned: what a peer sends above the limit of shutdown_receive resets it") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        const auto stopped = co_await here.shutdown_receive(1'000);
        CHECK(stopped.has_value());
        there.write_pattern(100'000);
        while (here.native_handle() >= 0)
            co_await turns(1);
        CHECK(there.read().empty());
        CHECK(there.last_error() == ECONNRESET);
    });
}
