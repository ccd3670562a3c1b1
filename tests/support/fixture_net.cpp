#include "fixture_net.hpp"

#include <array>
#include <system_error>

#include <doctest/doctest.h>

#include <ringdown/runtime/sleep.hpp>

using namespace ringdown;

namespace {

std::string quoted(const std::vector<std::byte>& buffer, const packet& taken) {
    std::string text(reinterpret_cast<const char*>(buffer.data()), taken.bytes);
    text = "'" + text + "'";
    return taken.cut() ? text + " of " + std::to_string(taken.whole) : text;
}

} // namespace

conversation converse(loop& on, testing::raw_pair made) {
    auto adopted = adopt(on, made.ours);
    REQUIRE(adopted);
    return {std::move(*adopted), std::move(made.theirs)};
}

conversation over_tcp(loop& on, const testing::pair_options& options) {
    return converse(on, testing::tcp_pair(options));
}

conversation over_unix(loop& on) { return converse(on, testing::unix_pair()); }

task<std::string> read_some(stream& from, std::size_t most) {
    std::string into(most, '\0');
    const auto got = co_await from.recv(std::as_writable_bytes(std::span(into)));
    if (!got) throw std::system_error(got.error());
    into.resize(*got);
    co_return into;
}

task<std::string> lease_some(stream& from) {
    const auto got = co_await from.recv_lease();
    if (!got) throw std::system_error(got.error());
    const auto bytes = got->data();
    co_return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

task<std::string> receive(stream& from, bool as_lease, std::size_t most) {
    if (as_lease) co_return co_await lease_some(from);
    co_return co_await read_some(from, most);
}

task<std::string> read_all(stream& from) {
    std::string all;
    std::array<std::byte, 16384> into;
    for (;;) {
        const auto got = co_await from.recv(into);
        if (!got && got.error() == errc::end_of_stream) co_return all;
        if (!got) throw std::system_error(got.error());
        all.append(reinterpret_cast<const char*>(into.data()), *got);
    }
}

task<std::string> next(packet_stream& from, std::size_t most) {
    std::vector<std::byte> into(most);
    const auto got = co_await from.recv(into);
    if (!got && got.error() == errc::end_of_stream) co_return "end";
    if (!got) co_return got.error().message();
    co_return quoted(into, *got);
}

task<std::string> next(datagram_socket& from, std::size_t most) {
    std::vector<std::byte> into(most);
    const auto got = co_await from.recv(into);
    if (!got) co_return got.error().message();
    co_return quoted(into, *got);
}

std::string pattern_text(std::uint64_t bytes, std::uint64_t first) {
    const auto made = testing::pattern(bytes, first);
    return {reinterpret_cast<const char*>(made.data()), made.size()};
}

std::shared_ptr<listening_socket> any_port() {
    return std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"));
}

std::vector<testing::peer> connect_many(const address& to, int count) {
    std::vector<testing::peer> made;
    for (int i = 0; i < count; ++i)
        made.push_back(testing::connect_peer(to));
    return made;
}

task<std::uint64_t> enters_during(loop& on, std::chrono::milliseconds time) {
    const auto before = on.statistics().enters;
    (void)co_await sleep_for(time);
    co_return on.statistics().enters - before;
}
