#include <chrono>
#include <optional>

#include <unistd.h>

#include <doctest/doctest.h>

#include <ringdown/net/connect.hpp>
#include <ringdown/net/listener.hpp>
#include <ringdown/runtime/scope.hpp>

#include "support/fixture_net.hpp"
#include "support/scratch.hpp"

using namespace ringdown;
using namespace ringdown::testing;
using namespace std::chrono_literals;

namespace {

bool has_ipv6() {
    const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const address loopback = *address::parse("[::1]:0");
    const bool bound = fd >= 0 && ::bind(fd, loopback.data(), loopback.size()) == 0;
    ::close(fd);
    return bound;
}

/// Listens, and answers nobody: as far away as loopback gets.
class silent_listener {
public:
    silent_listener() { from_.go_deaf(); }
    [[nodiscard]] address local() const { return from_.local(); }

private:
    peer_listener from_;
};

/// A unix socket whose queue is full.
class full_listener {
public:
    explicit full_listener(const std::string& path)
        : at_(*address::parse("unix:" + path)),
          fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        REQUIRE(::bind(fd_, at_.data(), at_.size()) == 0);
        REQUIRE(::listen(fd_, 0) == 0);
        waiting_ = connect_peer(at_);
    }
    ~full_listener() { ::close(fd_); }
    [[nodiscard]] const address& local() const { return at_; }
    void make_room() const { ::close(::accept(fd_, nullptr, nullptr)); }

private:
    address at_;
    int fd_;
    peer waiting_;
};

} // namespace

TEST_CASE("connect: over IPv4 and IPv6, and knows its peer") {
    test_loop on;
    on.run([&]() -> task<void> {
        for (const bool ipv6 : {false, true}) {
            if (ipv6 && !has_ipv6()) {
                MESSAGE("skip: no IPv6 on loopback");
                co_return;
            }
            peer_listener at(ipv6);
            auto made = co_await connect(on.loop, at.local());
            REQUIRE(made);
            CHECK(made->peer() == at.local());
            auto there = at.accept();
            CHECK(co_await made->send(bytes_of("hello")));
            CHECK(there.read() == "hello");
        }
    });
}

TEST_CASE("connect: refused where nobody listens, and leaks nothing") {
    test_loop on;
    on.run([&]() -> task<void> {
        address nobody;
        {
            const peer_listener gone;
            nobody = gone.local();
        }
        const auto refused = co_await connect(on.loop, nobody);
        REQUIRE(!refused);
        CHECK(refused.error() == std::errc::connection_refused);
        const auto no_such_path = co_await connect(on.loop, *address::parse("unix:/no/such/path"));
        CHECK(no_such_path.error() == std::errc::no_such_file_or_directory);
        const auto no_such_name = co_await connect(on.loop, *address::parse("unix:@ringdown none"));
        CHECK(no_such_name.error() == std::errc::connection_refused);
        const auto nowhere = co_await connect(on.loop, address());
        CHECK(nowhere.error() == std::errc::address_family_not_supported);
    });
}

TEST_CASE("connect: a deadline that passes is told as such") {
    test_loop on;
    on.run([&]() -> task<void> {
        const silent_listener at;
        const auto start = on.loop.now();
        const auto late =
            co_await connect(on.loop, at.local(), {.deadline = start + 20ms, .from = {}});
        REQUIRE(!late);
        CHECK(late.error() == errc::deadline_passed);
        CHECK(on.loop.now() - start >= 20ms);
        CHECK(on.loop.now() - start < 60s); // the kernel's own patience is two minutes
    });
}

TEST_CASE("connect: a non-blocking descriptor waits like any other") {
    test_loop on;
    on.run([&]() -> task<void> {
        const auto made = [] {
            return unique_descriptor(
                ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), kernel());
        };
        const silent_listener nobody;
        const auto late = co_await connect(on.loop, made(), nobody.local(),
                                           {.deadline = on.loop.now() + 20ms, .from = {}});
        REQUIRE(!late);
        CHECK(late.error() == errc::deadline_passed); // and not operation_in_progress
        peer_listener at;
        auto here = co_await connect(on.loop, made(), at.local());
        REQUIRE(here);
        auto there = at.accept();
        on.loop.post([&] { there.write("late"); });
        CHECK(co_await read_some(*here) == "late");
    });
}

TEST_CASE("connect: a linger time that the descriptor had is forgotten") {
    test_loop on;
    on.run([&]() -> task<void> {
        unique_descriptor made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), kernel());
        linger set{.l_onoff = 1, .l_linger = 7};
        REQUIRE(::setsockopt(made.get(), SOL_SOCKET, SO_LINGER, &set, sizeof set) == 0);
        peer_listener at;
        auto here = co_await connect(on.loop, std::move(made), at.local());
        REQUIRE(here);
        socklen_t bytes = sizeof set;
        REQUIRE(::getsockopt(here->native_handle(), SOL_SOCKET, SO_LINGER, &set, &bytes) == 0);
        CHECK(set.l_onoff == 0);
    });
}

TEST_CASE("connect: in time the deadline does not matter") {
    test_loop on;
    on.run([&]() -> task<void> {
        peer_listener at;
        auto made =
            co_await connect(on.loop, at.local(), {.deadline = on.loop.now() + 1h, .from = {}});
        REQUIRE(made);
        CHECK(on.loop.timers().empty());
    });
}

TEST_CASE("connect: cancelled it gives the connection up") {
    test_loop on;
    on.run([&]() -> task<void> {
        const silent_listener at;
        for (const bool at_once : {false, true}) {
            std::error_code told;
            co_await with_scope([&](scope& inside) -> task<void> {
                auto body = [](loop& turning, address to, std::error_code& why) -> task<void> {
                    why = (co_await connect(turning, to)).error();
                };
                inside.spawn(body(on.loop, at.local(), told));
                if (!at_once) co_await turns(2);
                inside.cancel();
            });
            CHECK(told == std::errc::operation_canceled);
        }
    });
}

TEST_CASE("connect: a cancellation that races with the connection leaks nothing") {
    test_loop on;
    on.run([&]() -> task<void> {
        peer_listener at;
        for (int i = 0; i < 100; ++i) {
            std::optional<result<stream>> made;
            co_await with_scope([&](scope& inside) -> task<void> {
                inside.spawn(store(connect(on.loop, at.local()), made));
                if (i % 2) on.loop.own_ring().submit();
                inside.cancel();
                co_return;
            });
            REQUIRE(made);
            if (!*made) CHECK(made->error() == std::errc::operation_canceled);
        }
    });
}

TEST_CASE("connect: binds the local address that is given") {
    test_loop on;
    on.run([&]() -> task<void> {
        peer_listener at;
        auto made = co_await connect(
            on.loop, at.local(), {.deadline = {}, .from = address::parse("127.0.0.2:0").value()});
        REQUIRE(made);
        auto there = at.accept();
        address seen;
        socklen_t bytes = address::capacity;
        REQUIRE(::getpeername(there.descriptor(), seen.data(), &bytes) == 0);
        seen.resize(bytes);
        CHECK(seen.text().starts_with("127.0.0.2:"));
        const auto foreign = co_await connect(
            on.loop, at.local(), {.deadline = {}, .from = address::parse("192.0.2.1:0").value()});
        CHECK(foreign.error() == std::errc::address_not_available);
    });
}

TEST_CASE("connect: without a descriptor left it says so") {
    test_loop on;
    on.run([&]() -> task<void> {
        peer_listener at;
        const descriptor_limit none(0);
        CHECK((co_await connect(on.loop, at.local())).error() == std::errc::too_many_files_open);
    });
}

TEST_CASE("connect: five hundred at once, through small queues") {
    test_loop on({.ring = {.entries = 8, .completion_entries = 8, .disabled = {}}});
    int connected = 0;
    on.run([&]() -> task<void> {
        const auto at = std::make_shared<listening_socket>(*address::parse("127.0.0.1:0"));
        co_await with_scope([&](scope& inside) -> task<void> {
            auto body = [](loop& turning, address to, int& count) -> task<void> {
                const auto made = co_await connect(turning, to);
                if (made) ++count;
            };
            for (int i = 0; i < 500; ++i)
                inside.spawn(body(on.loop, at->local(), connected));
            co_return;
        });
    });
    CHECK(connected == 500);
}

TEST_CASE("connect: to a unix socket whose queue is full it waits for room") {
    test_loop on;
    const scratch folder;
    const full_listener at(folder.socket());
    on.run([&]() -> task<void> {
        std::optional<result<stream>> made;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(store(connect(on.loop, at.local()), made));
            co_await turns(5);
            CHECK(!made);
            at.make_room();
        });
        REQUIRE(made);
        CHECK_MESSAGE(*made, made->error().message());
    });
}

TEST_CASE("connect: to a unix socket whose queue is full it ends at the deadline, or cancelled") {
    test_loop on;
    const scratch folder;
    const full_listener at(folder.socket());
    on.run([&]() -> task<void> {
        const auto enters = on.loop.statistics().enters;
        const auto late =
            co_await connect(on.loop, at.local(), {.deadline = on.loop.now() + 50ms, .from = {}});
        CHECK(late.error() == errc::deadline_passed);
        CHECK(on.loop.statistics().enters - enters < 50);
        std::error_code told;
        co_await with_scope([&](scope& inside) -> task<void> {
            auto body = [](loop& turning, address to, std::error_code& why) -> task<void> {
                why = (co_await connect(turning, to)).error();
            };
            inside.spawn(body(on.loop, at.local(), told));
            co_await turns(3);
            inside.cancel();
        });
        CHECK(told == std::errc::operation_canceled);
    });
}
