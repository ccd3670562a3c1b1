#include <cstddef>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "rig.hpp"
#include "support/counting_system.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// connect(2) with AF_UNSPEC, by which an abort resets, may be refused: by a filter of system calls,
// a security module, a protocol above TCP. Then the close resets, and nothing is believed done.

namespace {

class refusing_resets final : public counting_system {
public:
    explicit refusing_resets(bool linger_as_well = false) : linger_as_well_(linger_as_well) {}
    int connect(int fd, const sockaddr* to, socklen_t bytes) noexcept override {
        return to->sa_family == AF_UNSPEC ? -EPERM : counting_system::connect(fd, to, bytes);
    }
    int setsockopt(int fd, int level, int name, const void* value,
                   socklen_t bytes) noexcept override {
        const bool refused = linger_as_well_ && level == SOL_SOCKET && name == SO_LINGER &&
                             static_cast<const linger*>(value)->l_onoff != 0;
        return refused ? -EPERM : counting_system::setsockopt(fd, level, name, value, bytes);
    }

private:
    bool linger_as_well_;
};

constexpr pair_options small_buffers{.our_send_buffer = 20'000, .their_receive_buffer = 20'000};

void run_refused(const std::function<task<void>(rig&)>& body, bool linger_as_well = false) {
    refusing_resets calls(linger_as_well);
    loop_options options;
    options.calls = &calls;
    run(body, options);
}

task<void> send_zero_copy(stream& by, std::span<const std::byte> data, sent& outcome) {
    outcome = co_await by.send_zero_copy(data);
}

// False where this thread may not.
bool deny_connect() {
    const sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog whole{static_cast<unsigned short>(std::size(program)),
                           const_cast<sock_filter*>(program)};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &whole) == 0;
}

} // namespace

TEST_CASE("reset refused: the deadline holds, and the close resets, with a send under way") {
    for (const bool zero_copy : {false, true}) {
        CAPTURE(zero_copy);
        run_refused([&](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect(small_buffers);
            const auto answer = pattern(4 << 20);
            sent outcome;
            teardown_report report;
            co_await with_scope([&](scope& in) -> task<void> {
                if (zero_copy)
                    in.spawn(send_zero_copy(ours, answer, outcome));
                else
                    in.spawn(send_into(ours, answer, outcome));
                report = co_await graceful_close(ours, {.within = 200ms});
            });
            CHECK(row(report) == "local deadline graceful degraded unacknowledged");
            CHECK(report.reset_sent);
            CHECK(!report.error);
            CHECK(report.microseconds.total >= 200ms);
            CHECK(report.microseconds.total < 5s);
            CHECK(outcome.bytes == report.sent_bytes);
            check_claim(report, theirs.arrived());
            CHECK(theirs.read_to_end().error == ECONNRESET);
            at.check_resets(1);
        });
    }
}

TEST_CASE("reset refused: abort_close with a receive under way, and with bytes unread") {
    run_refused([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        std::array<std::byte, 10> into;
        result<std::size_t> outcome;
        teardown_report report;
        co_await with_scope([&](scope& in) -> task<void> {
            in.spawn(receive_into(ours, into, outcome));
            co_await sleep_for(10ms);
            report = co_await abort_close(ours);
        });
        CHECK_FALSE(outcome.has_value());
        CHECK(row(report) == "local application abort aborted acknowledged");
        CHECK(report.reset_sent);
        CHECK(theirs.read_to_end().error == ECONNRESET);
        at.check_resets(1);
    });
    run_refused([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        theirs.write_pattern(1000);
        co_await sleep_for(10ms);
        const teardown_report report = co_await abort_close(ours);
        CHECK(report.discarded_bytes == 1000);
        CHECK(report.reset_sent);
        at.check_resets(1);
    });
}

TEST_CASE("reset refused: abort_disconnect has no descriptor to leave, but resets") {
    run_refused([](rig& at) -> task<void> {
        auto [ours, theirs] = at.connect();
        const auto left = co_await abort_disconnect(ours);
        CHECK_FALSE(left.descriptor);
        CHECK(left.report.reset_sent);
        CHECK(theirs.read_to_end().error == ECONNRESET);
        at.check_resets(1);
    });
}

TEST_CASE("reset refused: where the close cannot reset either, the report says so") {
    run_refused(
        [](rig& at) -> task<void> {
            auto [ours, theirs] = at.connect();
            const teardown_report report = co_await abort_close(ours);
            CHECK(report.ending == actual_ending::aborted);
            CHECK_FALSE(report.reset_sent);
            CHECK(report.error == std::errc::operation_not_permitted);
            at.check_resets(0);
        },
        true);
}

TEST_CASE("reset refused: by a filter of system calls, as a sandbox has it") {
    bool denied = false;
    auto [fd, theirs] = tcp_pair(small_buffers);
    std::optional<teardown_report> report;
    std::jthread([&, ours = fd] {
        denied = deny_connect();
        if (!denied) return;
        loop on;
        report = on.run([](loop& at, int descriptor) -> task<teardown_report> {
            auto taken = adopt(at, descriptor);
            const auto answer = pattern(4 << 20);
            teardown_report made;
            sent outcome;
            co_await with_scope([&](scope& in) -> task<void> {
                in.spawn(send_into(*taken, answer, outcome));
                made = co_await graceful_close(*taken, {.within = 200ms});
            });
            co_return made;
        }(on, ours));
    }).join();
    if (!denied) {
        MESSAGE("skipped: no filter of system calls may be set here");
        ::close(fd);
        return;
    }
    REQUIRE(report.has_value());
    CHECK(report->ending == actual_ending::degraded);
    CHECK(report->reset_sent);
    CHECK(report->microseconds.total < 5s);
    CHECK(theirs.read_to_end().error == ECONNRESET);
}
