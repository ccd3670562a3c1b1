#include <cstring>
#include <ostream>
#include <string>

#include <netinet/in.h>

#include <doctest/doctest.h>

#include <ringdown/net/address.hpp>

using namespace ringdown;

TEST_CASE("address: parse reads what text writes") {
    for (const std::string text :
         {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[::]:0",
          "[fe80::1%2]:443", "[2001:db8::ff]:1", "[::ffff:127.0.0.1]:80", "unix:/run/x.sock",
          "unix:relative", "unix:@name", "unix:a:b"}) {
        CAPTURE(text);
        const auto parsed = address::parse(text);
        REQUIRE(parsed);
        CHECK(parsed->text() == text);
        CHECK(address::parse(parsed->text()) == parsed);
    }
}

TEST_CASE("address: parse refuses what is no address, and says what would be accepted") {
    for (const std::string text : {"",
                                   ":",
                                   "80",
                                   ":80",
                                   "127.0.0.1",
                                   "127.0.0.1:",
                                   "127.0.0.1:65536",
                                   "127.0.0.1:-1",
                                   "127.0.0.1:+1",
                                   "127.0.0.1: 1",
                                   "127.0.0.1:1 ",
                                   "127.0.0.1:x",
                                   "127.0.0:1",
                                   "1.2.3.4.5:1",
                                   "256.0.0.1:1",
                                   "localhost:80",
                                   "::1:80",
                                   "[::1]",
                                   "[::1]80",
                                   "[::1:80",
                                   "::1]:80",
                                   "[::g]:1",
                                   "[fe80::1%eth9]:1",
                                   "[fe80::1%]:1",
                                   "[fe80::1%4294967296]:1",
                                   "unix:",
                                   "unix:@",
                                   "Unix:/x"}) {
        CAPTURE(text);
        std::string complaint;
        const auto refused = address::parse(text, &complaint);
        REQUIRE(!refused);
        CHECK(refused.error() == std::errc::invalid_argument);
        CHECK(complaint.find("'" + text + "'") != std::string::npos);
        CHECK(complaint.find("127.0.0.1:80") != std::string::npos);
        CHECK(complaint.find('\n') == std::string::npos);
        CHECK(!address::parse(text));
    }
    CHECK(!address::parse(std::string_view("unix:/a\0b", 9)));
    CHECK(!address::parse(std::string_view("127.0.0.1\0:80", 13)));
}

TEST_CASE("address: a port out of range is told from what is no address at all") {
    const std::string told = "port must be 0 to 65535";
    for (const std::string text :
         {"127.0.0.1:65536", "127.0.0.1:99999", "127.0.0.1:", "[::1]:-1"}) {
        CAPTURE(text);
        std::string complaint;
        CHECK(!address::parse(text, &complaint));
        CHECK(complaint.find(told) != std::string::npos);
    }
    for (const std::string text : {"localhost:99999", "127.0.0.1", "unix:", "::1:80"}) {
        CAPTURE(text);
        std::string complaint;
        CHECK(!address::parse(text, &complaint));
        CHECK(complaint.find(told) == std::string::npos);
    }
}

TEST_CASE("address: unix names may be as long as the kernel takes them, not longer") {
    const std::string longest(107, 'x');
    const auto path = address::parse("unix:" + longest);
    REQUIRE(path);
    CHECK(path->text() == "unix:" + longest);
    CHECK(path->size() <= address::capacity);
    CHECK(!address::parse("unix:" + longest + "x"));
    const auto abstract = address::parse("unix:@" + longest);
    REQUIRE(abstract);
    CHECK(abstract->text() == "unix:@" + longest);
    CHECK(!address::parse("unix:@" + longest + "x"));
}

TEST_CASE("address: tells family and port") {
    CHECK(address::parse("127.0.0.1:8080")->family() == AF_INET);
    CHECK(address::parse("127.0.0.1:8080")->port() == 8080);
    CHECK(address::parse("[::1]:8081")->family() == AF_INET6);
    CHECK(address::parse("[::1]:8081")->port() == 8081);
    CHECK(address::parse("unix:/x")->family() == AF_UNIX);
    CHECK(address::parse("unix:/x")->port() == 0);
    CHECK(address().family() == AF_UNSPEC);
    CHECK(address(AF_UNIX).family() == AF_UNIX);
}

TEST_CASE("address: compares by what it names") {
    CHECK(*address::parse("127.0.0.1:1") == *address::parse("127.0.0.1:1"));
    CHECK_FALSE(*address::parse("127.0.0.1:1") == *address::parse("127.0.0.1:2"));
    CHECK_FALSE(*address::parse("unix:x") == *address::parse("unix:@x"));
    CHECK_FALSE(address() == address(AF_UNIX));
    CHECK(address() == address());
}

TEST_CASE("address: copies what a system call filled in, and no more than it holds") {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(99);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const address made(reinterpret_cast<const sockaddr*>(&name), sizeof name);
    CHECK(made == *address::parse("127.0.0.1:99"));
    CHECK(made.size() == sizeof name);

    char large[400];
    std::memset(large, 'x', sizeof large);
    reinterpret_cast<sockaddr*>(large)->sa_family = AF_UNIX;
    const address cut(reinterpret_cast<const sockaddr*>(large), sizeof large);
    CHECK(cut.size() == address::capacity);
    CHECK(cut.text() == "unix:" + std::string(108, 'x'));
    CHECK(address(AF_UNIX).text().starts_with("unix:"));
    CHECK_FALSE(address().text().empty());
}
