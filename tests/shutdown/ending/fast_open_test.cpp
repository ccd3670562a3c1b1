#include "rig.hpp"

#include <fstream>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <ringdown/net/internal/tcp_state.hpp>

using namespace ringdown;
using namespace ringdown::testing;

// TCP_FASTOPEN on the real kernel, which accepts connections before their handshake is done, and
// lets a client's connect succeed before it has asked anybody.

namespace {

constexpr auto setting = "/proc/sys/net/ipv4/tcp_fastopen";

// Both sides, without a cookie, until the end of the block.
class fast_open_for_all {
public:
    fast_open_for_all() {
        if (!has_own_network()) return; // it is everybody's setting
        std::ifstream(setting) >> before_;
        std::ofstream out(setting);
        out << "519" << std::flush; // 0x207
        works_ = out.good();
    }
    fast_open_for_all(const fast_open_for_all&) = delete;
    fast_open_for_all& operator=(const fast_open_for_all&) = delete;
    ~fast_open_for_all() {
        if (!before_.empty()) std::ofstream(setting) << before_;
    }
    [[nodiscard]] bool works() const noexcept { return works_; }

private:
    std::string before_;
    bool works_ = false;
};

class fast_listener {
public:
    fast_listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const address any = *address::parse("127.0.0.1:0");
        const int queue = 5;
        REQUIRE(::bind(fd_, any.data(), any.size()) == 0);
        REQUIRE(::setsockopt(fd_, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof queue) == 0);
        REQUIRE(::listen(fd_, 5) == 0);
        socklen_t bytes = address::capacity;
        REQUIRE(::getsockname(fd_, at_.data(), &bytes) == 0);
        at_.resize(bytes);
    }
    fast_listener(const fast_listener&) = delete;
    fast_listener& operator=(const fast_listener&) = delete;
    ~fast_listener() { ::close(fd_); }

    /// A client that sends with its SYN, and for now does not hear the answer.
    [[nodiscard]] peer deaf_client() const {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        hear(fd, false);
        ::sendto(fd, "request", 7, MSG_FASTOPEN | MSG_NOSIGNAL, at_.data(), at_.size());
        return peer(fd);
    }
    // No segment on loopback has a TTL of 255.
    static void hear(int fd, bool on) {
        const int hops = on ? 0 : 255;
        REQUIRE(::setsockopt(fd, IPPROTO_IP, IP_MINTTL, &hops, sizeof hops) == 0);
    }
    [[nodiscard]] int accept() const { return ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC); }
    [[nodiscard]] const address& at() const noexcept { return at_; }

private:
    int fd_;
    address at_;
};

} // namespace

TEST_CASE("fast open: what is sent before the handshake is done has not been delivered") {
    const fast_open_for_all set;
    if (!set.works()) {
        MESSAGE("skip: TCP fast open cannot be set here");
        return;
    }
    for (const bool answered : {false, true}) {
        CAPTURE(answered);
        run([&](rig& at) -> task<void> {
            const fast_listener listening;
            peer client = listening.deaf_client();
            stream ours = at.take_over(listening.accept());
            REQUIRE(tcp_state_of(ours) == static_cast<int>(tcp_state::syn_received));
            if (answered) {
                const auto sent = co_await ours.send(text("answer"));
                CHECK(sent.bytes == 6);
                const auto never = co_await with_deadline(at.on.now() + 50ms, delivered(ours));
                CHECK(never.error() == errc::deadline_passed);
            }
            const auto report = co_await close(ours, lingering::wait(100ms));
            REQUIRE(report.has_value());
            CHECK(report->ending == actual_ending::degraded);
            CHECK(report->delivery == delivery_verdict::unacknowledged);
            CHECK(report->unacknowledged_bytes == (answered ? 6 : 0));
            CHECK(!report->microseconds.fin_acknowledged);
        });
    }
}

TEST_CASE("fast open: once the handshake is done, the ending goes on as ever") {
    const fast_open_for_all set;
    if (!set.works()) {
        MESSAGE("skip: TCP fast open cannot be set here");
        return;
    }
    run([&](rig& at) -> task<void> {
        const fast_listener listening;
        peer client = listening.deaf_client();
        stream ours = at.take_over(listening.accept());
        const auto sent = co_await ours.send(text("answer"));
        CHECK(sent.bytes == 6);
        std::optional<teardown_report> report;
        auto body = [&](scope& inside) -> task<void> {
            inside.spawn([](stream& which, std::optional<teardown_report>& into) -> task<void> {
                into = co_await close(which, lingering::wait(30s));
            }(ours, report));
            co_await sleep_for(20ms);
            CHECK(!report.has_value());
            fast_listener::hear(client.descriptor(), true); // it is sent again within some seconds
        };
        co_await with_scope(body);
        REQUIRE(report.has_value());
        CHECK(report->ending == actual_ending::delivered);
        CHECK(report->delivery == delivery_verdict::acknowledged);
        CHECK(client.arrived() == 6);
    });
}

TEST_CASE("connect: again, with TCP_FASTOPEN_CONNECT or linger set, it waits and lingers not") {
    const fast_open_for_all set;
    if (!set.works()) MESSAGE("skip: TCP fast open cannot be set here; linger can");
    run([&](rig& at) -> task<void> {
        const fast_listener listening;
        unique_descriptor again(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), kernel());
        const int yes = 1;
        ::setsockopt(again.get(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &yes, sizeof yes);
        const linger long_time{.l_onoff = 1, .l_linger = 100};
        ::setsockopt(again.get(), SOL_SOCKET, SO_LINGER, &long_time, sizeof long_time);
        auto made = co_await connect(at.on, std::move(again), listening.at(), {});
        REQUIRE(made.has_value());
        at.expect_report_of(*made);
        CHECK(tcp_state_of(*made) == static_cast<int>(tcp_state::established));
        const auto lingers = co_await made->get_option<linger>(SOL_SOCKET, SO_LINGER);
        CHECK(lingers->l_onoff == 0);
        peer theirs(listening.accept());
        theirs.finish();
        const teardown_report report = co_await graceful_close(*made);
        CHECK(report.ending == actual_ending::graceful);
    });
}
