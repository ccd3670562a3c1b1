#include <thread>
#include <vector>

#include <linux/tcp.h>
#include <netinet/in.h>

#include <doctest/doctest.h>

#include <ringdown/runtime/scope.hpp>

#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;

namespace {

tcp_info info_of(const stream& of) {
    tcp_info info{};
    socklen_t bytes = sizeof info;
    REQUIRE(::getsockopt(of.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0);
    return info;
}

} // namespace

TEST_CASE("send_last: puts FIN on the segment of the data") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        const auto before = info_of(here);
        CHECK(co_await here.send_last(bytes_of("the whole answer")));
        CHECK(co_await here.shutdown_send());
        const auto after = info_of(here);
        CHECK(after.tcpi_segs_out - before.tcpi_segs_out == 1);
        CHECK(after.tcpi_data_segs_out - before.tcpi_data_segs_out == 1);
        CHECK(there.read() == "the whole answer");
        CHECK(there.read().empty());
        CHECK(there.last_error() == 0);
    });
}

TEST_CASE("send_last: of nothing is FIN alone") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        const sent done = co_await here.send_last({});
        CHECK(done);
        CHECK(done.bytes == 0);
        CHECK(co_await here.shutdown_send());
        CHECK(there.read().empty());
        CHECK(there.last_error() == 0);
    });
}

TEST_CASE("send_last: FIN follows what was queued before it") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] =
            over_tcp(on.loop, {.our_send_buffer = 20'000, .their_receive_buffer = 20'000});
        const auto data = pattern(2'000'000);
        const auto all = std::span(data);
        peer_reading seen;
        std::thread reader([&] { seen = there.read_to_end(); });
        co_await with_scope([&](scope& inside) -> task<void> {
            auto body = [](stream& to, std::span<const std::byte> part) -> task<void> {
                CHECK(co_await to.send(part));
            };
            for (std::size_t i = 0; i < 9; ++i)
                inside.spawn(body(here, all.subspan(i * 200'000, 200'000)));
            CHECK(co_await here.send_last(all.subspan(9 * 200'000)));
        });
        CHECK(co_await here.shutdown_send());
        reader.join();
        CHECK(seen.bytes == data.size());
        CHECK(seen.intact);
        CHECK(seen.finished);
    });
}

TEST_CASE("shutdown_send: ends sending, and reading goes on") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        CHECK(co_await here.send(bytes_of("question")));
        CHECK(co_await here.shutdown_send());
        CHECK(co_await here.shutdown_send()); // a second time it has been done already
        CHECK(there.read() == "question");
        CHECK(there.read().empty());
        there.write("answer");
        there.finish();
        CHECK(co_await read_all(here) == "answer");
        const sent refused = co_await here.send(bytes_of("more"));
        CHECK(refused.error == std::errc::broken_pipe);
        CHECK((co_await here.send_last(bytes_of("more"))).error == std::errc::broken_pipe);
        CHECK((co_await here.send_zero_copy(bytes_of("more"))).error == std::errc::broken_pipe);
    });
}

TEST_CASE("shutdown_send: FIN follows every byte that was handed over, also what is queued") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] =
            over_tcp(on.loop, {.our_send_buffer = 20'000, .their_receive_buffer = 20'000});
        const auto data = pattern(1'000'000);
        peer_reading seen;
        std::thread reader([&] { seen = there.read_to_end(); });
        co_await with_scope([&](scope& inside) -> task<void> {
            auto body = [](stream& to, std::span<const std::byte> part) -> task<void> {
                CHECK(co_await to.send(part));
            };
            inside.spawn(body(here, std::span(data).first(500'000)));
            inside.spawn(body(here, std::span(data).subspan(500'000)));
            CHECK(co_await here.shutdown_send());
        });
        reader.join();
        CHECK(seen.bytes == data.size());
        CHECK(seen.finished);
    });
}

TEST_CASE("shutdown_send: after the peer's reset it answers not_connected") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        there.reset();
        CHECK((co_await here.shutdown_send()).error() == std::errc::not_connected);
    });
}
