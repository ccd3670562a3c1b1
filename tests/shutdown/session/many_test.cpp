#include <algorithm>
#include <fstream>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "session_rig.hpp"
#include "support/fixture.hpp"

using namespace ringdown;
using namespace ringdown::testing;

// Ten thousand sessions with requests in progress: how long from the last answer to completion.
// Their clients are a process of its own, since a process has descriptors for one side only.

namespace {

constexpr std::size_t wanted = 10'000;
constexpr std::string_view answer_text = "answer";

// Descriptors for so many sockets and what a loop needs besides, as far as the limit goes.
std::size_t possible() { return std::min(wanted, allow_descriptors() - 500); }

// Connects, and finishes each connection when the server has; no part of the library.
void be_the_client(const address& to, std::size_t count) {
    const int all = ::epoll_create1(EPOLL_CLOEXEC);
    for (std::size_t i = 0; i < count; ++i) {
        const int fd = ::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || ::connect(fd, to.data(), to.size()) < 0) ::_exit(1);
        epoll_event wanted_of{.events = EPOLLIN, .data = {.fd = fd}};
        if (::epoll_ctl(all, EPOLL_CTL_ADD, fd, &wanted_of) < 0) ::_exit(1);
    }
    std::uint64_t bytes = 0;
    for (std::size_t open = count; open > 0;) {
        epoll_event ready[256];
        const int events = ::epoll_wait(all, ready, 256, 20'000);
        if (events <= 0) ::_exit(2);
        for (int i = 0; i < events; ++i) {
            char into[64];
            const auto got = ::recv(ready[i].data.fd, into, sizeof into, MSG_DONTWAIT);
            if (got < 0) ::_exit(3);
            bytes += static_cast<std::uint64_t>(got);
            if (got > 0) continue;
            ::close(ready[i].data.fd);
            --open;
        }
    }
    ::_exit(bytes == count * answer_text.size() ? 0 : 4);
}

// A process that connects once it is told where to.
class client_process {
public:
    explicit client_process(std::size_t count) {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        write_ = ends[1];
        process_ = ::fork();
        if (process_ == 0) {
            std::uint16_t port = 0;
            if (::read(ends[0], &port, sizeof port) != sizeof port) ::_exit(5);
            be_the_client(address::parse("127.0.0.1:" + std::to_string(port)).value(), count);
        }
        ::close(ends[0]);
        REQUIRE(process_ > 0);
    }
    ~client_process() {
        ::close(write_);
        if (process_ > 0) ::waitpid(process_, nullptr, 0);
    }
    void connect_to(std::uint16_t port) {
        CHECK(::write(write_, &port, sizeof port) == sizeof port);
    }
    int join() {
        int status = -1;
        ::waitpid(std::exchange(process_, -1), &status, 0);
        return status;
    }

private:
    int write_ = -1;
    pid_t process_ = -1;
};

struct measured {
    std::vector<session> sessions;
    std::vector<request> owed;
    std::chrono::microseconds from_first{0};
    std::chrono::microseconds from_last{0};
    std::uint64_t enters = 0;
};

task<void> accept_all(rig& at, listener& from, std::size_t count, session_group& into,
                      measured& all) {
    while (all.sessions.size() < count) {
        auto accepted = co_await from.accept();
        REQUIRE(accepted.has_value());
        at.expect_report_of(*accepted);
        session& made = all.sessions.emplace_back(std::move(*accepted), session_role::server);
        CHECK(into.add(made));
        all.owed.push_back(*made.begin_request());
    }
}

task<void> answer_all(rig& at, session_group& all, measured& of) {
    std::vector<sent> outcomes(of.owed.size());
    co_await with_scope([&](scope& in) -> task<void> {
        for (std::size_t i = 0; i < of.owed.size(); ++i)
            in.spawn(send_on(of.owed[i], text(answer_text), outcomes[i]));
        co_return;
    });
    CHECK(std::ranges::none_of(outcomes, [](const sent& each) { return !!each.error; }));
    // The last answer was given when every request is finished.
    const auto first = kernel().now();
    for (request& each : of.owed)
        each.finish();
    const auto enters_before = at.on.statistics().enters;
    const auto last = kernel().now();
    const auto done = co_await all.completed();
    const auto end = kernel().now();
    of.from_first = std::chrono::duration_cast<std::chrono::microseconds>(end - first);
    of.from_last = std::chrono::duration_cast<std::chrono::microseconds>(end - last);
    of.enters = at.on.statistics().enters - enters_before;
    REQUIRE(done.has_value());
    CHECK(done->sessions == of.sessions.size());
    CHECK(done->answered == of.sessions.size());
    CHECK(done->connections.count(actual_ending::graceful) == of.sessions.size());
}

} // namespace

TEST_CASE("group: 10,000 sessions with requests in progress end with the last answer") {
    const std::size_t count = possible();
    if (count < wanted) MESSAGE("descriptors for " << count << " sessions only");
    client_process clients(count);
    run([&](rig& at) -> task<void> {
        listener from(at.on,
                      std::make_shared<listening_socket>(address::parse("127.0.0.1:0").value()));
        clients.connect_to(from.local().port());
        session_group all(at.on);
        measured of;
        of.sessions.reserve(count);
        of.owed.reserve(count);
        co_await accept_all(at, from, count, all, of);
        from.close();
        CHECK(all.begin_shutdown());
        co_await sleep_for(20ms);
        CHECK(all.size() == count);
        co_await answer_all(at, all, of);
        MESSAGE(count << " sessions completed " << of.from_last.count()
                      << " us behind the last answer, " << of.from_first.count()
                      << " us behind the first, in " << of.enters << " enters");
        CHECK(of.from_last < 60s); // exact in punctual_test.cpp
        at.check_resets(0);
    });
    CHECK(clients.join() == 0);
}
