#include <filesystem>
#include <optional>
#include <string>

#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/net/connect.hpp>
#include <ringdown/net/listener.hpp>

#include "support/fixture_net.hpp"
#include "support/scratch.hpp"

using namespace ringdown;
using namespace ringdown::testing;

namespace {

task<void> talk(loop& on, address at) {
    listener from(on, std::make_shared<listening_socket>(at));
    CHECK(from.local() == at);
    auto client = co_await connect(on, at);
    REQUIRE(client);
    CHECK(client->peer() == at);
    auto server = co_await from.accept();
    REQUIRE(server);
    CHECK(server->peer().family() == AF_UNIX);
    CHECK(co_await client->send_last(bytes_of("question")));
    CHECK(co_await read_all(*server) == "question");
    CHECK(co_await server->send(bytes_of("answer")));
    CHECK(co_await server->shutdown_send());
    CHECK(co_await lease_some(*client) == "answer");
    CHECK((co_await client->recv_lease()).error() == errc::end_of_stream);
}

} // namespace

TEST_CASE("unix: by path, which is gone when the listener is") {
    test_loop on;
    const scratch folder;
    on.run([&] { return talk(on.loop, *address::parse("unix:" + folder.socket())); });
    CHECK_FALSE(std::filesystem::exists(folder.socket()));
}

TEST_CASE("unix: by abstract name") {
    test_loop on;
    const std::string name = "unix:@ringdown-test-" + std::to_string(::getpid());
    on.run([&] { return talk(on.loop, *address::parse(name)); });
    on.run([&] { return talk(on.loop, *address::parse(name)); });
}

TEST_CASE("unix: a path in use is refused, and stays whose it is") {
    const leak_guard unchanged;
    const scratch folder;
    const address at = *address::parse("unix:" + folder.socket());
    const listening_socket first(at);
    CHECK_THROWS_WITH_AS(listening_socket{at}, doctest::Contains(folder.socket().c_str()),
                         std::system_error);
    CHECK(std::filesystem::exists(folder.socket()));
}

TEST_CASE("unix: what the peer sent before it closed is received first") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_unix(on.loop);
        there.write_pattern(50'000);
        there.close();
        CHECK(co_await read_all(here) == pattern_text(50'000));
    });
}

TEST_CASE("unix: a peer that closes with data unread is a reset") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_unix(on.loop);
        CHECK(co_await here.send(bytes_of("never read")));
        there.close();
        std::array<std::byte, 8> into;
        for (int i = 0; i < 2; ++i)
            CHECK((co_await here.recv(into)).error() == std::errc::connection_reset);
    });
}

TEST_CASE("unix: stop serves everyone who waits") {
    test_loop on;
    const scratch folder;
    on.run([&]() -> task<void> {
        listener from(on.loop, std::make_shared<listening_socket>(
                                   *address::parse("unix:" + folder.socket())));
        std::vector<peer> clients;
        for (int i = 0; i < 20; ++i)
            clients.push_back(connect_peer(from.local()));
        CHECK(co_await from.stop());
        int served = 0;
        while (co_await from.accept())
            ++served;
        CHECK(served == 20);
    });
}
