#include <vector>

#include <netinet/tcp.h>

#include <doctest/doctest.h>

#include <ringdown/runtime/event.hpp>
#include <ringdown/runtime/scope.hpp>

#include "support/fixture_net.hpp"

using namespace ringdown;
using namespace ringdown::testing;

namespace {

constexpr pair_options small_buffers{.our_send_buffer = 20'000, .their_receive_buffer = 20'000};

/// A scope that is cancelled by a call, around one send.
struct cancellable_send {
    event begun_to_cancel;
    sent outcome;
    bool ended = false;

    void cancel() { begun_to_cancel.set(); }

    template <class Send>
    task<void> attempt(Send& send) {
        outcome = co_await send();
        ended = true;
        begun_to_cancel.set();
    }
    template <class Send>
    task<void> run(Send send) {
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(attempt(send));
            (void)co_await begun_to_cancel.wait();
            inside.cancel();
        });
    }
};

} // namespace

TEST_CASE("send: a cancelled send tells how many bytes the kernel accepted, and these arrive") {
    test_loop on;
    on.run([&]() -> task<void> {
        for (const int form : {0, 1, 2}) {
            CAPTURE(form);
            auto [here, there] = over_tcp(on.loop, small_buffers);
            auto data = pattern(4 << 20);
            const iovec part{data.data(), data.size()};
            cancellable_send cut;
            co_await with_scope([&](scope& inside) -> task<void> {
                if (form == 0) inside.spawn(cut.run([&] { return here.send(data); }));
                if (form == 1)
                    inside.spawn(cut.run([&] { return here.send_vectored({&part, 1}); }));
                if (form == 2) inside.spawn(cut.run([&] { return here.send_zero_copy(data); }));
                co_await turns(3);
                there.arrived_at_rest();
                CHECK_FALSE(cut.ended);
                cut.cancel();
                // A zero-copy send ends when the kernel lets go of the buffer, so the peer reads.
                if (form == 2) {
                    std::uint64_t bytes = 0;
                    while (!cut.ended) {
                        if (there.unread() > 0) bytes += there.read_to_end(there.unread()).bytes;
                        co_await turns(1);
                    }
                    CHECK(bytes <= cut.outcome.bytes);
                }
            });
            CHECK(cut.outcome.error == std::errc::operation_canceled);
            CHECK(cut.outcome.bytes > 0);
            CHECK(cut.outcome.bytes < data.size());
            CHECK(here.bytes().sent == cut.outcome.bytes);
            // By no verb does FIN follow half of it, and the rest can still be sent.
            CHECK((co_await here.shutdown_send()).error() == std::errc::operation_canceled);
            CHECK((co_await here.shutdown_both()).error() == std::errc::operation_canceled);
            CHECK((co_await here.send_last({})).error == std::errc::operation_canceled);
            const auto half =
                there.read_to_end(cut.outcome.bytes - there.arrived() + there.unread());
            CHECK(half.intact);
            CHECK(there.arrived() == cut.outcome.bytes);
            CHECK(there.tcp_state() == TCP_ESTABLISHED);
            const auto rest = std::span(data).subspan(cut.outcome.bytes).first(100);
            CHECK(co_await here.send(rest));
            CHECK(co_await here.shutdown_send());
            CHECK(there.read_to_end().finished);
            CHECK(there.arrived() == cut.outcome.bytes + 100);
        }
    });
}

TEST_CASE("shutdown_send: behind a send that is cancelled in the queue, no FIN follows") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop, small_buffers);
        const auto data = pattern(1 << 20);
        sent first;
        cancellable_send second;
        result<void> fin;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(keep([&] { return here.send(data); }, first));
            inside.spawn(second.run([&] { return here.send(bytes_of("the end")); }));
            inside.spawn(keep([&] { return here.shutdown_send(); }, fin));
            co_await turns(3);
            second.cancel();
            std::uint64_t bytes = 0;
            while (bytes < data.size()) {
                bytes += there.read_to_end(std::min<std::uint64_t>(there.unread(), 65536)).bytes;
                co_await turns(1);
            }
        });
        CHECK(first);
        CHECK(second.outcome.bytes == 0);
        CHECK(fin.error() == std::errc::operation_canceled);
        CHECK(there.tcp_state() == TCP_ESTABLISHED);
    });
}

TEST_CASE("send: one that is cancelled in the queue sends nothing, and those around it go on") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop, small_buffers);
        const auto data = pattern(1 << 20);
        const std::vector<std::byte> never(1000, std::byte{0x55});
        sent first, third;
        cancellable_send second;
        co_await with_scope([&](scope& inside) -> task<void> {
            const auto all = std::span(data);
            inside.spawn(keep([&] { return here.send(all.first(1 << 19)); }, first));
            inside.spawn(second.run([&] { return here.send(never); }));
            inside.spawn(keep([&] { return here.send(all.subspan(1 << 19)); }, third));
            co_await turns(3);
            second.cancel();
            co_await turns(3);
            CHECK(second.ended);
            CHECK(second.outcome.error == std::errc::operation_canceled);
            CHECK(second.outcome.bytes == 0);
            std::uint64_t bytes = 0;
            bool intact = true;
            while (bytes < data.size()) {
                const auto seen = there.read_to_end(std::min<std::uint64_t>(there.unread(), 65536));
                bytes += seen.bytes;
                intact = intact && seen.intact;
                co_await turns(1);
            }
            CHECK(intact);
        });
        CHECK(first);
        CHECK(third);
        CHECK(here.bytes().sent == data.size());
    });
}

TEST_CASE("send: cut short, those queued behind it are refused, and nothing of them is sent") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop, small_buffers);
        const auto data = pattern(4 << 20);
        const std::vector<std::byte> never(1000, std::byte{0x55});
        cancellable_send cut;
        std::vector<sent> behind(3);
        result<void> fin;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(cut.run([&] { return here.send(data); }));
            for (auto& each : behind)
                inside.spawn(keep([&] { return here.send(never); }, each));
            inside.spawn(keep([&] { return here.shutdown_send(); }, fin));
            co_await turns(3);
            there.arrived_at_rest();
            cut.cancel();
        });
        CHECK(cut.outcome.error == std::errc::operation_canceled);
        for (const auto& each : behind) {
            CHECK(each.error == std::errc::operation_canceled);
            CHECK(each.bytes == 0);
        }
        CHECK(fin.error() == std::errc::operation_canceled);
        const auto seen = there.read_to_end(cut.outcome.bytes);
        CHECK(seen.intact);
        CHECK(seen.bytes == cut.outcome.bytes);
        CHECK(there.unread() == 0);
        CHECK(there.write_what_fits(1) == 1);
        std::array<std::byte, 1> into;
        CHECK(co_await here.recv(into) == result<std::size_t>(1));
        here = stream();
        co_await turns(3);
        CHECK(there.read().empty());
        CHECK(there.last_error() == ECONNRESET); // never a FIN
    });
}

TEST_CASE("send_last: cut short, no FIN follows") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop, small_buffers);
        const auto data = pattern(4 << 20);
        cancellable_send cut;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(cut.run([&] { return here.send_last(data); }));
            co_await turns(3);
            there.arrived_at_rest();
            cut.cancel();
        });
        CHECK(cut.outcome.error == std::errc::operation_canceled);
        CHECK(there.read_to_end(cut.outcome.bytes).bytes == cut.outcome.bytes);
        here = stream();
        co_await turns(3);
        CHECK(there.read().empty());
        CHECK(there.last_error() == ECONNRESET);
    });
}

TEST_CASE("send_last: cancelled in the queue, no FIN follows what was before it") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop, small_buffers);
        const auto data = pattern(1 << 20);
        sent first;
        cancellable_send last;
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.spawn(keep([&] { return here.send(data); }, first));
            inside.spawn(last.run([&] { return here.send_last(bytes_of("the end")); }));
            co_await turns(3);
            last.cancel();
            std::uint64_t bytes = 0;
            while (bytes < data.size()) {
                bytes += there.read_to_end(std::min<std::uint64_t>(there.unread(), 65536)).bytes;
                co_await turns(1);
            }
        });
        CHECK(first);
        CHECK(last.outcome.error == std::errc::operation_canceled);
        CHECK(last.outcome.bytes == 0);
        co_await turns(3);
        here = stream();
        co_await turns(3);
        CHECK(there.read().empty());
        CHECK(there.last_error() == ECONNRESET); // FIN would say that the answer was complete
    });
}

TEST_CASE("send: queued ones end when the stream is dropped, each with an error") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop, small_buffers);
        const auto data = pattern(1 << 20);
        std::vector<sent> all(5);
        co_await with_scope([&](scope& inside) -> task<void> {
            for (auto& each : all)
                inside.spawn(keep([&] { return here.send(data); }, each));
            co_await turns(3);
            here = stream();
        });
        for (const auto& each : all)
            CHECK(each.error);
        for (std::size_t i = 1; i < all.size(); ++i)
            CHECK(all[i].bytes == 0);
        CHECK(there.read_to_end().error == ECONNRESET);
    });
}

TEST_CASE("send: in a scope that is cancelled already it is not begun") {
    test_loop on;
    on.run([&]() -> task<void> {
        auto [here, there] = over_tcp(on.loop);
        co_await with_scope([&](scope& inside) -> task<void> {
            inside.cancel();
            CHECK((co_await here.send(bytes_of("x"))).error == std::errc::operation_canceled);
            CHECK((co_await here.send_last(bytes_of("x"))).error == std::errc::operation_canceled);
        });
        CHECK(there.unread() == 0);
        CHECK(co_await here.send(bytes_of("y")));
        CHECK(there.read() == "y");
    });
}
