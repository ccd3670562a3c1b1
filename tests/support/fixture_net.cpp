#include "fixture_net.hpp"

#include <array>
#include <chrono>
#include <system_error>

#include <doctest/doctest.h>

#include <ringdown/runtime/deadline.hpp>

using namespace ringdown;

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

std::string pattern_text(std::uint64_t bytes, std::uint64_t first) {
    const auto made = testing::pattern(bytes, first);
    return {reinterpret_cast<const char*>(made.data()), made.size()};
}

task<std::uint64_t> fill(stream& to) {
    using namespace std::chrono_literals;
    const std::vector<std::byte> zeros(8 << 20);
    std::uint64_t taken = 0;
    auto send = [&]() -> task<std::size_t> { co_return (co_await to.send(zeros)).bytes; };
    taken = co_await with_deadline(to.on(), to.on().now() + 30ms, send());
    co_return taken;
}
