#include <filesystem>
#include <string>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/net/connect.hpp>
#include <ringdown/net/packet_listener.hpp>

#include "support/fixture_net.hpp"
#include "support/packets.hpp"

using namespace ringdown;
using namespace ringdown::testing;

namespace {

address abstract_name(const std::string& of) {
    return *address::parse("unix:@ringdown-packets-" + std::to_string(::getpid()) + of);
}

std::shared_ptr<listening_socket> packets_at(const address& at) {
    listen_options options;
    options.packets = true;
    return std::make_shared<listening_socket>(at, options);
}

} // namespace

TEST_CASE("packets: connect and accept, by name") {
    test_loop on;
    on.run([&]() -> task<void> {
        const address at = abstract_name("a");
        packet_listener from(on.loop, packets_at(at));
        CHECK(from.local() == at);
        auto client = co_await connect_packets(on.loop, at);
        REQUIRE(client);
        CHECK(client->peer() == at);
        CHECK(co_await client->send(bytes_of("")));
        auto server = co_await from.accept();
        REQUIRE(server);
        CHECK(from.accepted() == 1);
        CHECK(server->peer().family() == AF_UNIX);
        CHECK(server->local() == at);
        CHECK(co_await client->send(bytes_of("question")));
        CHECK(co_await client->shutdown_send());
        for (const char* expected : {"''", "'question'", "end"})
            CHECK(co_await next(*server) == expected);
        CHECK(co_await server->send(bytes_of("")));
        CHECK(co_await server->shutdown_send());
        CHECK(co_await next(*client) == "''");
        CHECK(co_await next(*client) == "end");
    });
}

TEST_CASE("packets: kinds of sockets that do not fit are refused") {
    test_loop on;
    on.run([&]() -> task<void> {
        const std::string folder = std::filesystem::temp_directory_path().string();
        const std::string name = "unix:" + folder + "/ringdown-" + std::to_string(::getpid());
        const address streams = *address::parse(name + "-streams");
        const address packets = *address::parse(name + "-packets");
        const listening_socket stream_socket(streams);
        const auto packet_socket = packets_at(packets);
        CHECK(packet_socket->traits() == transports::unix_packets);
        CHECK((co_await connect_packets(on.loop, streams)).error() ==
              std::errc::wrong_protocol_type);
        CHECK((co_await connect(on.loop, packets)).error() == std::errc::wrong_protocol_type);
        CHECK((co_await connect_packets(on.loop, abstract_name("nobody"))).error() ==
              std::errc::connection_refused);
        CHECK((co_await connect_packets(on.loop, *address::parse("127.0.0.1:1"))).error() ==
              std::errc::address_family_not_supported);
        CHECK_THROWS_WITH_AS(packets_at(*address::parse("127.0.0.1:0")),
                             doctest::Contains("127.0.0.1:0"), std::system_error);

        auto stream_ends = unix_pair();
        CHECK(adopt_packets(on.loop, stream_ends.ours).error() ==
              std::errc::protocol_not_supported);
        ::close(stream_ends.ours);
        auto packet_ends = packet_pair();
        CHECK(adopt(on.loop, packet_ends.ours).error() == std::errc::protocol_not_supported);
        ::close(packet_ends.ours);
        CHECK(adopt_packets(on.loop, packet_socket->descriptor()).error() ==
              std::errc::not_connected);
    });
}

TEST_CASE("packets: stop serves everyone who waits, also on a descriptor that was handed over") {
    test_loop on;
    on.run([&]() -> task<void> {
        const address at = abstract_name("h");
        const auto first = packets_at(at);
        const auto taken = std::make_shared<listening_socket>(::dup(first->descriptor()));
        CHECK(taken->traits() == transports::unix_packets);
        packet_listener from(on.loop, taken);
        std::vector<packet_stream> clients;
        for (int i = 0; i < 10; ++i) {
            auto client = co_await connect_packets(on.loop, at);
            REQUIRE(client);
            clients.push_back(std::move(*client));
        }
        CHECK(co_await from.stop());
        int served = 0;
        auto accepted = co_await from.accept();
        for (; accepted; accepted = co_await from.accept())
            ++served;
        CHECK(served == 10);
    });
}
